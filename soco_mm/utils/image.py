import io
import warnings
from pathlib import Path
from typing import Optional, Union

import cv2
import numpy as np
from PIL import Image

# Objects of fewer pixels hold nothing to learn from.
MIN_SIDE = 8


class ImageError(Exception):
    """An image that cannot be used; the text says why."""


def read_image(path: Union[str, Path]) -> np.ndarray:
    """Read an image as training sees it.

    Grey, 16-bit, CMYK and transparent images become 8-bit RGB, and the
    orientation that a camera noted (EXIF) is applied.

    Args:
        path (str | Path): The file.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).

    Raises:
        ImageError: If the file is missing or not an image.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageError(f'cannot be read ({error.strerror})') from None
    return decode_image(data)


def decode_image(data: np.ndarray) -> np.ndarray:
    """Decode the bytes of a file, uint8 (B,), as :func:`read_image`."""
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        image = None
    if image is None:
        raise ImageError('is empty' if data.size ==
                         0 else 'is damaged, or not an image that OpenCV can '
                         'decode')
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def check_image(path: Union[str, Path],
                max_pixels: Optional[int] = None) -> np.ndarray:
    """Read an image and refuse it if it is truncated, too small or too large.

    OpenCV 4 fills the missing part of a truncated image and says nothing, so
    the file is decoded by Pillow as well. Slower than :func:`read_image`.

    Args:
        path (str | Path): The file.
        max_pixels (int, optional): An image of more is refused before it is
            decoded. Defaults to None, no limit.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).

    Raises:
        ImageError: If the image cannot be used.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f'cannot be read ({error.strerror})') from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with Image.open(io.BytesIO(data)) as pil:
                width, height = pil.size
                if max_pixels is not None and width * height > max_pixels:
                    raise ImageError(
                        f'is too large ({width}x{height} pixels, at most '
                        f'{max_pixels} in all)')
                pil.load()
    except ImageError:
        raise
    except Image.UnidentifiedImageError:
        pass  # a format that OpenCV alone knows, or no image
    except Image.DecompressionBombError:
        # Pillow does not say how large; its own limit is twice this number.
        if max_pixels is not None and (max_pixels <=
                                       2 * Image.MAX_IMAGE_PIXELS):
            raise ImageError('is too large (more than '
                             f'{max_pixels} pixels in all)') from None
    except Exception as error:  # Pillow raises nearly anything on bad bytes
        raise ImageError(f'is damaged ({error})') from None
    image = decode_image(np.frombuffer(data, np.uint8))
    height, width = image.shape[:2]
    if min(height, width) < MIN_SIDE:
        raise ImageError(
            f'is too small ({width}x{height} pixels, at least {MIN_SIDE}x'
            f'{MIN_SIDE} are needed)')
    return image
