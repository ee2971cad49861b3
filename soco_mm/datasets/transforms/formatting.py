import numpy as np
import torch
from mmcv.transforms import BaseTransform

from soco_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackViews(BaseTransform):
    """Keep only what the model takes, as tensors of fixed shapes.

    Returns ``views``, a list of RGB images, uint8, (S, S, 3), which the data
    preprocessor normalises; ``boxes``, a list of float32 (K, 4), x1 y1 x2 y2
    in pixels of the view; and ``valid``, a list of booleans (K,).
    """

    def transform(self, results: dict) -> dict:
        """Pack the sample."""
        return dict(
            views=[
                torch.from_numpy(np.ascontiguousarray(view))
                for view in results['views']
            ],
            boxes=[torch.from_numpy(boxes) for boxes in results['boxes']],
            valid=[torch.from_numpy(valid) for valid in results['valid']],
        )
