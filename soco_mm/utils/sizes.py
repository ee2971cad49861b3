import os
import warnings
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Iterable, Iterator, Tuple, Union

from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base

from .image import MIN_SIDE, ImageError, read_image

# What is waited for is the storage, perhaps on another machine.
THREADS = 8


def read_sizes(
        root: str,
        paths: Iterable[str]) -> Iterator[Union[Tuple[int, int], ImageError]]:
    """Read the sizes of images from the heads of their files.

    Args:
        root (str): The folder of images.
        paths (Iterable[str]): Paths of the images relative to it.

    Yields:
        tuple | ImageError: Of each image width and height in pixels as
        :func:`soco_mm.utils.read_image` has them, or why it cannot be used.
    """
    with ThreadPool(THREADS) as pool, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # about a head's odd entries
        yield from pool.imap(partial(_try_size, root), paths, chunksize=16)


def _try_size(root: str, path: str):
    try:
        size = read_size(os.path.join(root, path))
    except ImageError as error:
        return error
    if min(size) < MIN_SIDE:
        return ImageError(f'is too small ({size[0]}x{size[1]} pixels, at '
                          f'least {MIN_SIDE}x{MIN_SIDE} are needed)')
    return size


def read_size(path: str) -> Tuple[int, int]:
    """Width and height of an image in pixels, as it is turned for training.

    Raises:
        ImageError: If the file is missing or not an image.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if image.format == 'TIFF':
                if _is_turned(image.getexif()):
                    # Pillow turns these itself, some versions as they load.
                    image.load()
                return image.size
            # Image.getexif would look at other notes too, which OpenCV does
            # not, and would decode some images for it.
            noted = Image.Exif()
            try:
                noted.load(image.info.get('exif', b''))
                turned = _is_turned(noted)
            except Exception:  # nearly anything on bad bytes
                turned = False
            return (height, width) if turned else (width, height)
    except UnidentifiedImageError:  # OpenCV may know it, or say what it is
        return read_image(path).shape[1::-1]
    except FileNotFoundError:
        raise ImageError('is missing') from None
    except Exception as error:
        reason = getattr(error, 'strerror', None) or error
        raise ImageError(f'cannot be read ({reason})') from None


def _is_turned(exif: Image.Exif) -> bool:
    """Whether width and height are exchanged when an image is upright."""
    return exif.get(Base.Orientation) in (5, 6, 7, 8)
