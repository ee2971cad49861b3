from typing import Tuple

from mmengine.model import BaseModule
from torch import Tensor

from soco_mm.registry import MODELS


@MODELS.register_module()
class ObjectRoIHead(BaseModule):
    r"""From feature maps and boxes to object-level features.

    It is :math:`h = f^H(\mathrm{RoIAlign}(\cdot, b))` of Eq. 1.

    Args:
        bbox_roi_extractor (dict): Config of the RoI extractor.
        bbox_head (dict): Config of the head :math:`f^H`.
    """

    def __init__(self, bbox_roi_extractor: dict, bbox_head: dict) -> None:
        super().__init__()
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        self.bbox_head = MODELS.build(bbox_head)

    def forward(self, feats: Tuple[Tensor], boxes: Tensor) -> Tensor:
        """Compute the object-level features of Eq. 1.

        Args:
            feats (tuple[Tensor]): Feature maps from fine to coarse,
                (N, C, H_l, W_l) each.
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).

        Returns:
            Tensor: Object features, (N * K, C').
        """
        return self.bbox_head(self.bbox_roi_extractor(feats, boxes))
