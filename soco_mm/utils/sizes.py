import os
import warnings
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import Iterable, Iterator, NamedTuple, Tuple, Union

from PIL import Image, UnidentifiedImageError
from PIL.ExifTags import Base

from .image import MIN_SIDE, ImageError, read_image

# What is waited for is the storage, perhaps on another machine.
THREADS = 8


def read_sizes(
    root: str,
    paths: Iterable[str],
    min_side: int = MIN_SIDE
) -> Iterator[Union[Tuple[int, int], ImageError]]:
    """Read the sizes of images from the heads of their files.

    Args:
        root (str): The folder of images.
        paths (Iterable[str]): Paths of the images relative to it.
        min_side (int): An image with a shorter side cannot be used. Defaults
            to the one of :func:`soco_mm.utils.image.check_image`.

    Yields:
        tuple | ImageError: Of each image width and height in pixels as
        :func:`soco_mm.utils.read_image` has them, or why it cannot be used.
    """
    for head in read_heads(root, paths):
        if isinstance(head, ImageError):
            yield head
        elif min(head.size) < min_side:
            yield ImageError(
                f'is too small ({head.size[0]}x{head.size[1]} pixels, at '
                f'least {min_side}x{min_side} are needed)')
        else:
            yield head.size


def read_heads(
        root: str,
        paths: Iterable[str]) -> Iterator[Union['ImageHead', ImageError]]:
    """The heads of many images, read at once; see :func:`read_head`.

    Args:
        root (str): The folder of images.
        paths (Iterable[str]): Paths of the images relative to it.

    Yields:
        ImageHead | ImageError: What :func:`read_head` returns or raises.
    """
    with ThreadPool(THREADS) as pool, warnings.catch_warnings():
        warnings.simplefilter('ignore')  # about a head's odd entries
        yield from pool.imap(partial(_try_head, root), paths, chunksize=16)


def _try_head(root: str, path: str):
    try:
        return read_head(os.path.join(root, path))
    except ImageError as error:
        return error


class ImageHead(NamedTuple):
    """What the head of an image file says.

    Attributes:
        size (tuple[int]): Width and height in pixels, as training reads the
            image.
        orientation (int): The EXIF orientation that is applied for this, from
            1 (none) to 8; an image is turned by 90 degrees from 5 on.
    """
    size: Tuple[int, int]
    orientation: int = 1


def read_size(path: str) -> Tuple[int, int]:
    """Width and height of an image in pixels, as it is turned for training.

    Raises:
        ImageError: If the file is missing or not an image.
    """
    return read_head(path).size


def read_head(path: str) -> ImageHead:
    """Read size and orientation of an image from the head of its file.

    Args:
        path (str): The file.

    Returns:
        ImageHead: The size as :func:`soco_mm.utils.read_image` has it.

    Raises:
        ImageError: If the file is missing or not an image.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            if image.format == 'TIFF':
                orientation = _orientation(image.getexif())
                if orientation > 4:
                    # Pillow turns these itself, some versions as they load.
                    image.load()
                return ImageHead(image.size, orientation)
            # Image.getexif would look at other notes too, which OpenCV does
            # not, and would decode some images for it.
            noted = Image.Exif()
            try:
                noted.load(image.info.get('exif', b''))
                orientation = _orientation(noted)
            except Exception:  # nearly anything on bad bytes
                orientation = 1
            turned = orientation > 4
            return ImageHead((height, width) if turned else (width, height),
                             orientation)
    except UnidentifiedImageError:  # OpenCV may know it, or say what it is
        return ImageHead(read_image(path).shape[1::-1])
    except FileNotFoundError:
        raise ImageError('is missing') from None
    except Exception as error:
        reason = getattr(error, 'strerror', None) or error
        raise ImageError(f'cannot be read ({reason})') from None


def _orientation(exif: Image.Exif) -> int:
    """The orientation that EXIF notes, 1 where it notes none."""
    noted = exif.get(Base.Orientation)
    return noted if noted in range(1, 9) else 1
