import numpy as np

from soco_mm.registry import PROPOSALS


@PROPOSALS.register_module()
class WholeImage:
    """The image as its only box, the baseline of Table 4."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Propose the whole image.

        Args:
            image (np.ndarray): RGB, uint8, (H, W, 3).
            rng (np.random.Generator): Not used.

        Returns:
            np.ndarray: x1 y1 x2 y2 in pixels of the image, float32, (1, 4).
        """
        return np.float32([[0, 0, image.shape[1], image.shape[0]]])
