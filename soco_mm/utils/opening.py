"""Image files as Pillow opens them, without its limits."""

import os
import threading
from typing import IO

import numpy as np
from PIL import Image, TiffImagePlugin
from PIL.ExifTags import Base

# Pillow recognises these by their first bytes, but draws them with other
# programs, or cannot read them at all.
_NO_PHOTOS = {'BUFR', 'EPS', 'FITS', 'GRIB', 'HDF5', 'MPEG', 'WAL', 'WMF', 'XVTHUMB'}
_limit_lock = threading.Lock()


def open_image(file: str | IO[bytes]) -> Image.Image:
    """Open an image with Pillow, however large it is; nothing is decoded.

    Args:
        file (str | IO): The path, or a stream of its bytes.

    Returns:
        Image.Image: The image, which the caller closes.

    Raises:
        PIL.UnidentifiedImageError: If Pillow does not know its format.
        OSError: If it cannot be read.
    """
    try:
        return _open(file)
    except Image.DecompressionBombError:
        # The limit is one for the whole process; without it, nothing that other
        # threads read at the same time is refused.
        with _limit_lock:
            limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                if not isinstance(file, (str, os.PathLike)):
                    file.seek(0)
                return _open(file)
            finally:
                Image.MAX_IMAGE_PIXELS = limit


def _open(file) -> Image.Image:
    image = Image.open(file)
    if image.format in _NO_PHOTOS:
        image.close()
        raise Image.UnidentifiedImageError(f'{image.format} is not a photo')
    return image


def is_pillow_limit(error: Exception) -> bool:
    """Whether an error comes from Pillow's limit for texts in an image.

    OpenCV has none.
    """
    return 'Decompressed data too large' in str(error)


def stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height in pixels before the orientation is applied."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # Pillow turns these itself, some versions as they load.
        tags = image.tag_v2
        return tags[Base.ImageWidth], tags[Base.ImageLength]
    return image.size


def explain_large(width: int, height: int) -> str | None:
    """Why an image is too large for OpenCV, in words; None if it is not."""
    for name, value, default in (
        ('PIXELS', width * height, 1 << 30),
        ('WIDTH', width, 1 << 20),
        ('HEIGHT', height, 1 << 20),
    ):
        variable = f'OPENCV_IO_MAX_IMAGE_{name}'
        try:
            limit = int(os.environ.get(variable, default))
        except ValueError:  # such as 10MB
            continue
        if value > limit:
            return (
                f'is too large ({width}x{height} pixels; OpenCV reads '
                f'images of up to {limit} pixels'
                f'{"" if name == "PIXELS" else " in " + name.lower()})'
            )
    return None


def turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation, as a view of the pixels.

    Args:
        image (np.ndarray): (H, W, ...).
        orientation (int): From 1 (none) to 8.

    Returns:
        np.ndarray: (H, W, ...), or (W, H, ...) from 5 on.
    """
    if orientation in (2, 3, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7):
        image = image[::-1]
    if orientation > 4:
        image = image.swapaxes(0, 1)
    if orientation == 6:
        image = image[:, ::-1]
    if orientation == 8:
        image = image[::-1]
    return image
