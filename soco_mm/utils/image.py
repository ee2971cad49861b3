import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import UnidentifiedImageError

from .exif import read_orientation
from .opening import explain_large, is_pillow_limit, open_image, stored_size, turn
from .stretch import reduce_depth
from .tiff import WHITE_IS_ZERO, TiffLayout, read_layout

# Smaller images have nothing to learn from.
MIN_SIDE = 8
PAM = b'P7'  # how the files start
Percentiles = tuple[float, float]


class ImageError(Exception):
    """An image that cannot be used; the text says why."""


def read_image(path: str | Path, stretch: Percentiles | None = None) -> np.ndarray:
    """Read an image as training sees it.

    Grey, 16-bit, CMYK and transparent images become 8-bit RGB, and the
    orientation that a camera noted (EXIF) is applied. What OpenCV cannot
    decode, Pillow does.

    Args:
        path (str | Path): The file.
        stretch (tuple, optional): How images of more than 8 bits are reduced
            to 8, see :func:`soco_mm.utils.stretch.reduce_depth`. Defaults to
            None, the upper 8 of 16 bits.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).

    Raises:
        ImageError: If the file is missing or not an image.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ImageError(f'cannot be read ({error.strerror})') from None
    return decode_image(data, stretch)


def decode_image(data: np.ndarray, stretch: Percentiles | None = None) -> np.ndarray:
    """Decode the bytes of a file, uint8 (B,), as :func:`read_image`."""
    layout = read_layout(data)
    if layout and (reason := layout.explain_misread(stretch is not None)):
        raise ImageError(reason)
    if layout and layout.alpha and (stretch is None or layout.bits <= 8):
        _check_alpha(data)
    if stretch is not None:
        return reduce_depth(_decode_whole(data, layout), stretch)
    image = _decode_by_opencv(data, cv2.IMREAD_COLOR)
    if image is None:  # a format that Pillow alone knows, or pixels of 32 bits
        image = _decode_whole(data, layout)
        if image.dtype == np.uint16:
            return (image >> 8).astype(np.uint8)
        if image.dtype != np.uint8:
            raise ImageError('has pixels of 32 bits, which only --stretch reduces to 8')
        return image
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image)


def decode_deep(data: np.ndarray) -> np.ndarray:
    """Decode the bytes of a file without a loss of depth.

    Args:
        data (np.ndarray): The bytes, uint8, (B,).

    Returns:
        np.ndarray: RGB, (H, W, 3); uint8 as from :func:`decode_image` if the
        file has 8 bits per channel.

    Raises:
        ImageError: If it is not an image.
    """
    return _decode_whole(data, read_layout(data))


def _decode_whole(data: np.ndarray, layout: TiffLayout | None) -> np.ndarray:
    """As :func:`decode_deep`, of a file whose layout is known."""
    # What is said to be grey, OpenCV reads with one band unless it is told not to.
    unmarked = layout is not None and layout.unmarked
    color = cv2.IMREAD_COLOR if unmarked else cv2.IMREAD_ANYCOLOR
    image = _decode_by_opencv(data, cv2.IMREAD_ANYDEPTH | color)
    if image is None:
        return _decode_by_pillow(data)
    if layout is not None and layout.bits > 8 and layout.photometric == WHITE_IS_ZERO:
        # OpenCV inverts these with 8 bits only.
        image = ~image if image.dtype.kind in 'iu' else -image
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(image[..., ::-1])


def _check_alpha(data: np.ndarray) -> None:
    """Refuse a TIFF whose colours OpenCV multiplies by a band that is no mask.

    Raises:
        ImageError: If it is one, such as the near infrared of GDAL's default.
    """
    image = _decode_by_opencv(data, cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4:
        return  # not read by OpenCV, or without the band
    band = image[..., 3]
    if band.dtype.kind != 'u' or ((band > 0) & (band < np.iinfo(band.dtype).max)).any():
        raise ImageError(
            'is a TIFF whose fourth band is marked as alpha (ExtraSamples 2) but is '
            'no mask, and OpenCV multiplies the colours by it; save it with three '
            'bands, or with GDAL as ALPHA=NO'
        )


def _decode_by_opencv(data: np.ndarray, flags: int) -> np.ndarray | None:
    """The image, BGR or grey; None if OpenCV cannot decode it."""
    if bytes(data[:2]) == PAM:
        raise ImageError('is a PAM, whose red and blue OpenCV swaps; save it as PPM')
    try:
        return cv2.imdecode(data, flags)
    except cv2.error as error:
        if 'CV_IO_MAX_IMAGE' in str(error):
            raise ImageError('is too large for OpenCV') from None
        return None


def _decode_by_pillow(data: np.ndarray) -> np.ndarray:
    """The image, RGB, of 8, 16 or 32 bits, turned as OpenCV turns images."""
    if data.size == 0:
        raise ImageError('is empty')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with open_image(io.BytesIO(data)) as pil:
                if reason := explain_large(*stored_size(pil)):
                    raise ImageError(reason)
                size, orientation = stored_size(pil), read_orientation(pil)
                pil.load()
                if pil.format == 'TIFF':  # Pillow turns these itself
                    assert pil.size == (size if orientation < 5 else size[::-1])
                    orientation = 1
                if pil.mode[0] not in 'IF':
                    pil = pil.convert('RGB')
                image = np.asarray(pil)
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(
            'is damaged, or not an image that OpenCV or Pillow can decode'
        ) from None
    except Exception as error:  # Pillow raises nearly anything on bad bytes
        raise ImageError(explain_damage(error)) from None
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    return np.ascontiguousarray(turn(image, orientation))


def explain_damage(error: Exception) -> str:
    """What a Pillow error says about an image, in words."""
    text = str(error)
    if 'truncated' in text.lower():
        text = 'its end is missing'
    return f'is damaged ({text})'


def read_intact_image(
    path: str | Path, max_pixels: int | None = None, stretch: Percentiles | None = None
) -> np.ndarray:
    """Read an image and refuse it if it is truncated, too small or too large.

    OpenCV 4 fills the missing part of a truncated image and says nothing, so
    the file is decoded by Pillow as well. Slower than :func:`read_image`.

    Args:
        path (str | Path): The file.
        max_pixels (int, optional): A larger image is refused before it is
            decoded. Defaults to None, no limit.
        stretch (tuple, optional): See :func:`read_image`.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).

    Raises:
        ImageError: If the image cannot be used.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImageError(f'cannot be read ({error.strerror})') from None
    drawn = False  # whether its transparency shows something
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            with open_image(io.BytesIO(data)) as pil:
                _check_pixels(*stored_size(pil), max_pixels)
                pil.load()
                drawn = 'A' in pil.getbands() and np.ptp(pil.getextrema()[-1]) > 0
    except ImageError:
        raise
    except UnidentifiedImageError:
        pass  # a format that only OpenCV knows, or no image
    except Exception as error:  # Pillow raises nearly anything on bad bytes
        if not is_pillow_limit(error):
            raise ImageError(explain_damage(error)) from None
    image = decode_image(np.frombuffer(data, np.uint8), stretch)
    height, width = image.shape[:2]
    _check_pixels(width, height, max_pixels)
    if min(height, width) < MIN_SIDE:
        raise ImageError(
            f'is too small ({width}x{height} pixels, at least {MIN_SIDE}x'
            f'{MIN_SIDE} are needed)'
        )
    if drawn and image.min() == image.max():
        raise ImageError('is of one colour without its transparency, which is not used')
    return image


def _check_pixels(width: int, height: int, max_pixels: int | None) -> None:
    if max_pixels is not None and width * height > max_pixels:
        raise ImageError(
            f'is too large ({width}x{height} pixels, at most {max_pixels} in all)'
        )
    if reason := explain_large(width, height):
        raise ImageError(reason)
