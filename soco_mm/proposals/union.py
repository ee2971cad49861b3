from collections.abc import Sequence

import numpy as np

from soco_mm.registry import PROPOSALS


@PROPOSALS.register_module()
class Union:
    """All boxes of several generators.

    Args:
        generators (Sequence[dict]): Their configs.
    """

    def __init__(self, generators: Sequence[dict]) -> None:
        self.generators = [PROPOSALS.build(dict(each)) for each in generators]

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Propose boxes.

        Args:
            image (np.ndarray): RGB, uint8, (H, W, 3).
            rng (np.random.Generator): The source of random numbers of all.

        Returns:
            np.ndarray: Distinct boxes, x1 y1 x2 y2 in pixels of the image,
            float32, (P, 4), sorted.
        """
        found = [
            np.asarray(each(image, rng), np.float32).reshape(-1, 4)
            for each in self.generators
        ]
        return np.unique(np.concatenate(found), axis=0)
