import os
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing.pool import ThreadPool
from typing import NamedTuple, Union

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from .exif import read_orientation
from .image import MIN_SIDE, ImageError, decode_deep, read_image
from .opening import explain_large, is_pillow_limit, open_image, stored_size
from .tiff import THREADS, TiffLayout

# OpenCV reads all images of the formats that Pillow names so.
OPENCV_FORMATS = {
    'AVIF',
    'BMP',
    'GIF',
    'JPEG',
    'JPEG2000',
    'MPO',
    'PNG',
    'PPM',
    'WEBP',
}
# In these it applies every EXIF orientation; others depend on its version.
TURNED_FORMATS = {'JPEG', 'MPO', 'PNG', 'TIFF', 'WEBP'}
SAMPLE = 64  # images that are looked at, of many


def sample_indices(total: int, max_samples: int = SAMPLE) -> list[int]:
    """Up to ``max_samples`` indices, evenly spaced, with the first and the last."""
    indices = np.linspace(0, total - 1, min(total, max_samples)).round()
    return indices.astype(int).tolist()


def read_sizes(
    root: str, paths: Iterable[str], min_side: int = MIN_SIDE
) -> Iterator[tuple[int, int] | ImageError]:
    """Read the sizes of images from the heads of their files.

    Args:
        root (str): The folder of images.
        paths (Iterable[str]): Paths of the images relative to it.
        min_side (int): An image with a shorter side cannot be used. Defaults
            to the one of :func:`soco_mm.utils.image.read_intact_image`.

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
                f'least {min_side}x{min_side} are needed)'
            )
        else:
            yield head.size


def read_heads(
    root: str, paths: Iterable[str]
) -> Iterator[Union['ImageHead', ImageError]]:
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
        deep (bool): Whether it may have more than 8 bits per channel.
        opencv (bool): Whether OpenCV knows its format; otherwise detectors
            cannot be trained on it.
    """

    size: tuple[int, int]
    orientation: int = 1
    deep: bool = False
    opencv: bool = True


def read_size(path: str) -> tuple[int, int]:
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
        with open_image(path) as image:
            width, height = stored_size(image)
            if reason := explain_large(width, height):
                raise ImageError(reason)
            orientation = read_orientation(image)
            size = (height, width) if orientation > 4 else (width, height)
            if orientation > 4 and not _turns(image):
                size = read_image(path).shape[1::-1]
                orientation = 1 if size == (width, height) else orientation
            return ImageHead(
                size, orientation, _is_deep(image), _opencv_reads(image, path)
            )
    except ImageError:
        raise
    except UnidentifiedImageError:  # OpenCV may know it, or say what it is
        shape = decode_deep(np.fromfile(path, np.uint8)).shape
        return ImageHead(shape[1::-1], deep=True)
    except FileNotFoundError:
        raise ImageError('is missing') from None
    except Exception as error:
        if is_pillow_limit(error):
            return ImageHead(read_image(path).shape[1::-1])
        failure = getattr(error, 'strerror', None) or error
        raise ImageError(f'cannot be read ({failure})') from None


def _turns(image: Image.Image) -> bool:
    """Whether each version of OpenCV turns an image as its EXIF says."""
    # Of a PNG with several frames only some do.
    several = image.format == 'PNG' and getattr(image, 'is_animated', False)
    return image.format in TURNED_FORMATS and not several


def _is_deep(image: Image.Image) -> bool:
    """Whether an image may have more than 8 bits per channel."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return TiffLayout.of(image.tag_v2).bits > 8
    # Pillow reduces images with several such channels while decoding, by a
    # mode such as RGB;16B.
    return (
        image.mode[0] in 'IF'
        or ';16' in str(image.tile)
        or image.format in ('JPEG2000', 'PPM')
    )


def _opencv_reads(image: Image.Image, path: str) -> bool:
    """Whether OpenCV knows the format of an image."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return TiffLayout.of(image.tag_v2).opencv
    if image.format in OPENCV_FORMATS:
        return True
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False  # OpenCV would crash on such a name
    return cv2.haveImageReader(os.fspath(path))
