import numpy as np

# How the boxes of an image were chosen, in the order in which filters are tried.
STATUS = ('filtered', 'aspect_only', 'min_side_only', 'whole_image')
FALLBACK_SIDE = 32


class ProposalFilter:
    r"""Keep the proposals whose shape and size suit (Section 3.2).

    Keeps :math:`1/r \le w/h \le r` and :math:`s_0 \le \sqrt{wh}/\sqrt{WH} \le
    s_1`, and w, h >= ``min_side``. An image left with none falls back to only
    the filter on the aspect ratio, then to only w, h >= 32 pixels, then to
    the whole image.

    Args:
        max_aspect (float): r. Defaults to 3.
        size_range (tuple): :math:`s_0` and :math:`s_1`. Defaults to
            (0.3, 0.8).
        min_side (float): Smallest width and height in pixels. Defaults to 0.
    """

    def __init__(
        self,
        max_aspect: float = 3,
        size_range: tuple[float, float] = (0.3, 0.8),
        min_side: float = 0,
    ) -> None:
        self.max_aspect = max_aspect
        self.size_range = tuple(size_range)
        self.min_side = min_side

    def __call__(
        self, boxes: np.ndarray, width: int, height: int
    ) -> tuple[np.ndarray, int]:
        """Filter the proposals of one image.

        Args:
            boxes (np.ndarray): x1 y1 x2 y2 in pixels, (P, 4).
            width (int): Width of the image in pixels.
            height (int): Height of the image in pixels.

        Returns:
            tuple: The kept boxes, (Q, 4), Q >= 1, and the index in
            :data:`STATUS` of how they were kept.
        """
        w, h = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64).T
        aspect = (w <= self.max_aspect * h) & (h <= self.max_aspect * w)
        aspect &= np.minimum(w, h) > 0
        relative = np.sqrt(w * h / (width * height))
        size = (relative >= self.size_range[0]) & (relative <= self.size_range[1])
        size &= np.minimum(w, h) >= self.min_side
        tried = (aspect & size, aspect, np.minimum(w, h) >= FALLBACK_SIDE)
        for status, keep in enumerate(tried):
            if keep.any():
                return boxes[keep], status
        return np.float32([[0, 0, width, height]]), len(tried)

    def count(self, boxes: np.ndarray, width: int, height: int) -> tuple[int, int, int]:
        """Numbers of boxes, of too small ones, and of too large ones.

        Args and shapes as of a call.
        """
        sides = (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)
        relative = np.sqrt(sides.prod(1) / (width * height))
        low, high = self.size_range
        return len(boxes), int((relative < low).sum()), int((relative > high).sum())

    @staticmethod
    def keep_all(boxes: np.ndarray, width: int, height: int) -> tuple[np.ndarray, int]:
        """Keep every proposal; an image without any gets the whole image."""
        if len(boxes):
            return boxes, 0
        return np.float32([[0, 0, width, height]]), len(STATUS) - 1
