from .errors import SoCoError, UsageError
from .files import PARTIAL, atomic_write, list_images
from .image import ImageError, check_image, read_image

__all__ = [
    'SoCoError', 'UsageError', 'PARTIAL', 'atomic_write', 'list_images',
    'ImageError', 'check_image', 'read_image'
]
