"""Photometric augmentation of BYOL, on each view independently (4.1).

The semantics are those of torchvision's transforms on PIL images, in uint8:
each step clips and rounds.
"""

from abc import abstractmethod

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from soco_mm.registry import TRANSFORMS

from .per_view import Prob, per_view

LEVELS = np.arange(256, dtype=np.float32)


class ViewTransform(BaseTransform):
    """Change the pixels of each view with a probability.

    Args:
        prob (float | Sequence[float]): Probability, see :func:`per_view`.
    """

    def __init__(self, prob: Prob) -> None:
        self.prob = prob

    @abstractmethod
    def apply(self, view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change one view, RGB, uint8, (H, W, 3)."""

    def transform(self, results: dict) -> dict:
        """Change some of the views."""
        views, rng = results['views'], results['rng']
        for index, prob in enumerate(per_view(self.prob, len(views))):
            if rng.random() < prob:
                views[index] = self.apply(views[index], rng)
        return results


@TRANSFORMS.register_module()
class ViewColorJitter(ViewTransform):
    """Jitter brightness, contrast, saturation and hue, in random order.

    Args:
        brightness (float): The factor is uniform in 1 +- this. Defaults to
            0.4.
        contrast (float): The same for the contrast. Defaults to 0.4.
        saturation (float): The same for the saturation. Defaults to 0.2.
        hue (float): The shift is uniform in +- this, in turns. Defaults to
            0.1.
        prob (float | Sequence[float]): See :class:`ViewTransform`. Defaults
            to 0.8.
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.2,
        hue: float = 0.1,
        prob: Prob = 0.8,
    ) -> None:
        super().__init__(prob)
        self.steps = (
            (adjust_brightness, 1, brightness),
            (adjust_contrast, 1, contrast),
            (adjust_saturation, 1, saturation),
            (adjust_hue, 0, hue),
        )

    def apply(self, view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Jitter the colours of one view."""
        for step in rng.permutation(4):
            function, centre, extent = self.steps[step]
            view = function(view, centre + rng.uniform(-extent, extent))
        return view


@TRANSFORMS.register_module()
class ViewRandomGrayscale(ViewTransform):
    """Remove the colour.

    Args:
        prob (float | Sequence[float]): See :class:`ViewTransform`. Defaults
            to 0.2.
    """

    def __init__(self, prob: Prob = 0.2) -> None:
        super().__init__(prob)

    def apply(self, view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Turn one view grey."""
        return grey_of(view)


@TRANSFORMS.register_module()
class ViewGaussianBlur(ViewTransform):
    """Blur with a Gaussian of random width.

    Args:
        sigma (tuple): Range of its standard deviation in pixels. Defaults to
            (0.1, 2.0).
        prob (float | Sequence[float]): See :class:`ViewTransform`. Defaults
            to (1.0, 0.1, 0.1).
    """

    def __init__(
        self, sigma: tuple[float, float] = (0.1, 2.0), prob: Prob = (1.0, 0.1, 0.1)
    ) -> None:
        super().__init__(prob)
        self.sigma = sigma

    def apply(self, view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Blur one view."""
        return cv2.GaussianBlur(view, (0, 0), rng.uniform(*self.sigma))


@TRANSFORMS.register_module()
class ViewSolarize(ViewTransform):
    """Invert the values at and above a threshold.

    Args:
        threshold (int): The threshold, from 0 to 255. Defaults to 128.
        prob (float | Sequence[float]): See :class:`ViewTransform`. Defaults
            to (0.0, 0.2, 0.2).
    """

    def __init__(self, threshold: int = 128, prob: Prob = (0.0, 0.2, 0.2)) -> None:
        super().__init__(prob)
        self.table = np.where(threshold > LEVELS, LEVELS, 255 - LEVELS).astype(np.uint8)

    def apply(self, view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Solarize one view."""
        return cv2.LUT(view, self.table)


def grey_of(image: np.ndarray) -> np.ndarray:
    """The image without its colour, (H, W, 3)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)


def adjust_brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black."""
    table = (LEVELS * factor).clip(0, 255).astype(np.uint8)
    return cv2.LUT(image, table)


def adjust_contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the mean of the grey image."""
    mean = round(cv2.mean(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))[0])
    table = (LEVELS * factor + mean * (1 - factor)).clip(0, 255)
    return cv2.LUT(image, table.astype(np.uint8))


def adjust_saturation(image: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the grey image."""
    return cv2.addWeighted(image, factor, grey_of(image), 1 - factor, 0)


def adjust_hue(image: np.ndarray, shift: float) -> np.ndarray:
    """Turn the hue by ``shift`` of a full turn."""
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL)
    # The hue fills the range of uint8, so that the sum wraps around.
    hsv[..., 0] += np.uint8(int(shift * 255) % 256)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL)
