import numpy as np

from soco_mm.registry import PROPOSALS


@PROPOSALS.register_module()
class RandomBoxes:
    r"""Random boxes, the control of Table 5(c).

    Drawn from the shapes and sizes that the paper keeps, so that they differ
    from its proposals only in not being of objects: :math:`\log(w/h)` uniform
    in :math:`\pm\log r`, :math:`\sqrt{wh}/\sqrt{WH}` uniform in
    :math:`[s_0, s_1]`, the place uniform within the image. Where an image is
    so long that too few shapes fit into it, boxes are cut to it.

    Args:
        num_boxes (int): Boxes per image. Defaults to 32.
        max_aspect (float): r. Defaults to 3.
        size_range (tuple): :math:`s_0` and :math:`s_1`. Defaults to
            (0.3, 0.8).
    """

    def __init__(
        self,
        num_boxes: int = 32,
        max_aspect: float = 3,
        size_range: tuple[float, float] = (0.3, 0.8),
    ) -> None:
        self.num_boxes = num_boxes
        self.max_aspect = max_aspect
        self.size_range = tuple(size_range)

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Draw boxes.

        Args:
            image (np.ndarray): RGB, uint8, (H, W, 3).
            rng (np.random.Generator): The source of random numbers.

        Returns:
            np.ndarray: x1 y1 x2 y2 in pixels of the image, float32, (P, 4),
            sorted.
        """
        limit = np.array(image.shape[1::-1], float)
        drawn = 64 * self.num_boxes
        aspect = np.log(self.max_aspect)
        aspect = np.exp(rng.uniform(-aspect, aspect, drawn))
        side = rng.uniform(*self.size_range, drawn) * np.sqrt(limit.prod())
        size = np.stack([side * np.sqrt(aspect), side / np.sqrt(aspect)], 1)
        fits = (size <= limit).all(1)
        # Those that fit come first.
        size = size[np.argsort(~fits, kind='stable')[: self.num_boxes]]
        size = np.minimum(size, limit)
        start = rng.random(size.shape) * (limit - size)
        boxes = np.concatenate([start, start + size], 1).astype(np.float32)
        return np.unique(boxes, axis=0)
