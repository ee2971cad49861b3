import torch
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from mmengine.model import BaseModule, ModuleList, constant_init
from torch import Tensor

from soco_mm.registry import MODELS


@MODELS.register_module()
class ObjectRoIHead(BaseModule):
    r"""From feature maps and boxes to object-level features.

    It is :math:`h = f^H(\mathrm{RoIAlign}(\cdot, b))` of Eq. 1. The head
    :math:`f^H` is that of the detector: for FPN the shared layers of its box
    head, for C4 the whole res5, which MMDetection calls the shared head, and
    a global average pool.

    Args:
        bbox_roi_extractor (dict): Config of the RoI extractor.
        bbox_head (dict | list, optional): Config of the box head, or of those
            of all stages of a cascade, whose features are averaged. Defaults
            to None, a global average pool.
        shared_head (dict, optional): Config of the layers before it. Defaults
            to None, none.
    """

    def __init__(
        self,
        bbox_roi_extractor: dict,
        bbox_head: dict | list | None = None,
        shared_head: dict | None = None,
    ) -> None:
        super().__init__()
        self.bbox_roi_extractor = MODELS.build(bbox_roi_extractor)
        self.shared_head = MODELS.build(shared_head) if shared_head else None
        self.bbox_head = None
        if isinstance(bbox_head, (list, tuple)):
            self.bbox_head = ModuleList(map(MODELS.build, bbox_head))
        elif bbox_head:
            self.bbox_head = MODELS.build(bbox_head)

    def init_weights(self) -> None:
        """Initialise; the last norm of each residual block starts at 0."""
        super().init_weights()
        if self.shared_head is None:
            return
        for module in self.shared_head.modules():
            if isinstance(module, (BasicBlock, Bottleneck)):
                last = 'norm2' if isinstance(module, BasicBlock) else 'norm3'
                constant_init(getattr(module, last), 0)

    def forward(self, feats: tuple[Tensor], boxes: Tensor) -> Tensor:
        """Compute the object-level features of Eq. 1.

        Args:
            feats (tuple[Tensor]): Feature maps from fine to coarse,
                (N, C, H_l, W_l) each.
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).

        Returns:
            Tensor: Object features, (N * K, C').
        """
        return self.encode(self.bbox_roi_extractor(feats, boxes))

    def encode(self, x: Tensor) -> Tensor:
        """Turn RoI features (R, C, S, S) into object features (R, C')."""
        if self.shared_head is not None:
            x = self.shared_head(x)
        if self.bbox_head is None:
            return x.mean((2, 3))
        if isinstance(self.bbox_head, ModuleList):
            return torch.stack([head(x) for head in self.bbox_head]).mean(0)
        return self.bbox_head(x)
