"""From images of more than 8 bits to 8 bits."""

from collections.abc import Iterator, Sequence

import numpy as np

from soco_mm.errors import UsageError

from .class_names import class_name

Stretch = tuple[float, float] | None  # percentiles, None for none


def as_percentiles(stretch: Sequence[float] | None) -> tuple[float, float] | None:
    """Two percentiles as a tuple, or None; see :func:`reduce_depth`.

    Raises:
        UsageError: If they are not two percentiles.
    """
    if stretch is None:
        return None
    try:
        low, high = map(float, stretch)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not 0 <= low < high <= 100:
        raise UsageError(
            'The percentiles of a stretch must be two numbers '
            'from 0 to 100, the smaller one first, but are '
            f'{stretch}.'
        )
    return low, high


def reduce_depth(image: np.ndarray, stretch: tuple[float, float]) -> np.ndarray:
    """Stretch a range of an image's values over 8 bits.

    The values at two percentiles of all pixels and channels become 0 and 255,
    those between them lie linearly, those beyond are clipped. Where both are
    the same, as with a plain background, the smallest and largest value are
    used instead; an image of one value becomes black.

    Args:
        image (np.ndarray): Of any shape; float, uint8 or other integers. A
            uint8 image is returned as it is. Values that are not finite
            become 0.
        stretch (tuple): The lower and upper percentile, from 0 to 100.

    Returns:
        np.ndarray: uint8, of the same shape.
    """
    if image.dtype == np.uint8:
        return image
    low, high = value_range(image, stretch)
    scale = 255 / (high - low) if high > low else 0.0
    if image.dtype == np.uint16:
        # A table has fewer entries than a photo has pixels.
        values = np.arange(1 << 16)
        return _to_bytes((values - low) * scale)[image]
    with np.errstate(invalid='ignore', over='ignore'):
        return _to_bytes((image.astype(np.float64) - low) * scale)


def value_range(image: np.ndarray, stretch: tuple[float, float]) -> tuple[float, float]:
    """The values of an image at two percentiles; see :func:`reduce_depth`."""
    if image.dtype == np.uint16:
        # Much quicker than sorting them.
        counts = np.bincount(image.reshape(-1), minlength=1 << 16)
        below = np.cumsum(counts)
        ranks = np.ceil(np.array(stretch) / 100 * below[-1]).clip(1)
        low, high = np.searchsorted(below, ranks).tolist()
        if low == high:
            low, high = np.flatnonzero(counts)[[0, -1]].tolist()
        return low, high
    finite = image[np.isfinite(image)]
    if not finite.size:
        return 0.0, 0.0
    low, high = np.percentile(finite, stretch, method='inverted_cdf').tolist()
    if low == high:
        low, high = float(finite.min()), float(finite.max())
    return low, high


def _to_bytes(values: np.ndarray) -> np.ndarray:
    """Rounded and clipped to uint8; what is not a number becomes 0."""
    values = np.nan_to_num(values, nan=0.0, posinf=255.0, neginf=0.0)
    return np.rint(values).clip(0, 255).astype(np.uint8)


def load_images(pipeline: list[dict] | None) -> Iterator[dict]:
    """The configs of ``LoadImage`` in a pipeline."""
    return (each for each in pipeline or () if class_name(each) == 'LoadImage')
