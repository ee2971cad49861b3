from collections.abc import Sequence

import cv2
import numpy as np

from soco_mm.registry import PROPOSALS

from .contrib import require_ximgproc
from .resizing import limit_side, merge_boxes

# Conversions from RGB.
COLOR_SPACES = dict(
    hsv=cv2.COLOR_RGB2HSV, lab=cv2.COLOR_RGB2LAB, rgb=None, gray=cv2.COLOR_RGB2GRAY
)
SIMILARITIES = ('color', 'fill', 'texture', 'size')


@PROPOSALS.register_module()
class SelectiveSearch:
    """Selective search with one colour space and one strategy (A.1).

    OpenCV's implementation. The boxes of an image do not depend on what was
    done before.

    Args:
        scale (float): Larger values give fewer and larger segments. Defaults
            to 500.
        sigma (float): Width of the Gaussian that smooths the image. Defaults
            to 0.9.
        min_size (int): Pixels of the smallest segment. Defaults to 10.
        max_side (int, optional): Images with a longer side are reduced to it
            first, which bounds the time; 500 is what ImageNet's images have.
            None to search in full size. Defaults to 500.
        color_space (str): ``hsv``, ``lab``, ``rgb`` or ``gray``. Defaults to
            ``hsv``.
        similarities (Sequence[str]): By what segments are merged, of
            ``color``, ``fill``, ``texture`` and ``size``, with equal weights.
            Defaults to all four.
    """

    def __init__(
        self,
        scale: float = 500,
        sigma: float = 0.9,
        min_size: int = 10,
        max_side: int | None = 500,
        color_space: str = 'hsv',
        similarities: Sequence[str] = SIMILARITIES,
    ) -> None:
        require_ximgproc('selective search')
        self.scale = scale
        self.sigma = sigma
        self.min_size = min_size
        self.max_side = max_side
        self.color_space = color_space
        self.similarities = tuple(similarities)

    def __call__(
        self, image: np.ndarray, rng: np.random.Generator | None = None
    ) -> np.ndarray:
        """Propose boxes.

        Args:
            image (np.ndarray): RGB, uint8, (H, W, 3).
            rng (np.random.Generator, optional): Not used.

        Returns:
            np.ndarray: Distinct boxes, x1 y1 x2 y2 in pixels of the image,
            float32, (P, 4), sorted.
        """
        whole, image = image, limit_side(image, self.max_side)
        segmentation = cv2.ximgproc.segmentation
        search = segmentation.createSelectiveSearchSegmentation()
        conversion = COLOR_SPACES[self.color_space]
        if conversion is not None:
            image = cv2.cvtColor(image, conversion)
        search.setBaseImage(image)
        search.addImage(image)
        search.addGraphSegmentation(
            segmentation.createGraphSegmentation(self.sigma, self.scale, self.min_size)
        )
        strategy = segmentation.createSelectiveSearchSegmentationStrategyMultiple()
        for name in self.similarities:
            create = getattr(
                segmentation,
                'createSelectiveSearchSegmentationStrategy' + name.capitalize(),
            )
            strategy.addStrategy(create(), 1 / len(self.similarities))
        search.addStrategy(strategy)
        xywh = np.asarray(search.process(), np.float32).reshape(-1, 4)
        return merge_boxes(xywh, image, whole)
