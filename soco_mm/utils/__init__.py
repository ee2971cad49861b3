from soco_mm.errors import SoCoError, UsageError, did_you_mean

from .files import (
    PARTIAL,
    atomic_folder,
    atomic_stream,
    atomic_write,
    exclusive,
    file_hash,
    is_older,
    make_writable,
    read_json,
    write_json,
)
from .image import ImageError, read_image, read_intact_image
from .image_files import ImageListing, list_images
from .sizes import ImageHead, read_head, read_heads, read_size, read_sizes

__all__ = [
    'PARTIAL',
    'ImageError',
    'ImageHead',
    'ImageListing',
    'SoCoError',
    'UsageError',
    'atomic_folder',
    'atomic_stream',
    'atomic_write',
    'did_you_mean',
    'exclusive',
    'file_hash',
    'is_older',
    'list_images',
    'make_writable',
    'read_head',
    'read_heads',
    'read_image',
    'read_intact_image',
    'read_json',
    'read_size',
    'read_sizes',
    'write_json',
]
