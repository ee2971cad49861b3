import numpy as np
import torch
from mmcv.transforms import BaseTransform

from soco_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class PackViews(BaseTransform):
    """Keep only what the model takes, as tensors of fixed shapes.

    Returns ``views``, a list of RGB images, uint8, (S, S, 3), which the data
    preprocessor normalises; ``boxes``, a list of float32 (K, 4), x1 y1 x2 y2
    in pixels of the view; and ``valid``, a list of booleans (K,). If all
    proposals were kept (see :class:`SelectProposals`), also ``proposals``, a
    list of float32 (M, 4), and ``num_proposals``, a list of integers.
    """

    def transform(self, results: dict) -> dict:
        """Pack the sample."""
        packed = dict(
            views=[
                torch.from_numpy(np.ascontiguousarray(view))
                for view in results['views']
            ],
            boxes=[torch.from_numpy(boxes) for boxes in results['boxes']],
            valid=[torch.from_numpy(valid) for valid in results['valid']],
        )
        if 'view_proposals' in results:
            packed['proposals'] = list(map(torch.from_numpy, results['view_proposals']))
            packed['num_proposals'] = results['num_proposals']
        return packed
