from soco_mm.errors import SoCoError, UsageError
from .files import (PARTIAL, atomic_folder, atomic_stream, atomic_write,
                    check_replaceable, exclusive, file_hash, list_images,
                    make_writable, read_json)
from .image import ImageError, check_image, read_image
from .sizes import ImageHead, read_head, read_heads, read_size, read_sizes

__all__ = [
    'SoCoError', 'UsageError', 'PARTIAL', 'atomic_folder', 'atomic_stream',
    'atomic_write', 'check_replaceable', 'exclusive', 'file_hash',
    'list_images', 'make_writable', 'read_json', 'ImageError', 'check_image',
    'read_image', 'ImageHead', 'read_head', 'read_heads', 'read_size',
    'read_sizes'
]
