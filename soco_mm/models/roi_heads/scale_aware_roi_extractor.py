from collections.abc import Sequence

import torch
from mmcv.ops import RoIAlign
from mmengine.model import BaseModule
from torch import Tensor, nn

from soco_mm.registry import MODELS


@MODELS.register_module()
class ScaleAwareRoIExtractor(BaseModule):
    """RoIAlign on the pyramid level that the size of the box selects.

    The scale-aware assignment of Section 3.3: a box goes to the first level
    whose upper bound on sqrt(area), in pixels of the view, is not exceeded;
    larger ones go to the last level. The paper's bounds of 48, 96, 192 and 224
    pixels send them to P2, P3, P4 and P5.

    All levels are pooled for all boxes; boxes of other levels are shrunk to an
    empty box. RoIAlign takes no sample of an empty box and returns zeros, so
    the sum over the levels holds each box's own features, each box costs
    one pooling, shapes are fixed, and no step waits for the device. It needs
    adaptive sampling (``sampling_ratio=0``).

    Args:
        featmap_strides (Sequence[int]): Strides of the feature maps in pixels.
        scale_bounds (Sequence[float]): Upper bounds of sqrt(area) for each
            level, in pixels of the view, one per level. The last is not used.
            Empty for a single level (C4).
        output_size (int): Side of the pooled features. Defaults to 7.
        use_torchvision (bool): Use torchvision's operator instead of MMCV's.
            Defaults to False.
    """

    def __init__(
        self,
        featmap_strides: Sequence[int] = (4, 8, 16, 32),
        scale_bounds: Sequence[float] = (48, 96, 192, 224),
        output_size: int = 7,
        use_torchvision: bool = False,
    ) -> None:
        super().__init__()
        inner = tuple(scale_bounds)[:-1]
        if len(inner) != len(featmap_strides) - 1 or list(inner) != sorted(inner):
            raise ValueError(
                'scale_bounds needs an ascending bound for each of the '
                f'{len(featmap_strides)} levels, but got {scale_bounds}.'
            )
        self.register_buffer(
            'inner_bounds', torch.tensor(inner, dtype=torch.float32), persistent=False
        )
        self.roi_layers = nn.ModuleList(
            [
                RoIAlign(
                    output_size,
                    spatial_scale=1 / stride,
                    sampling_ratio=0,
                    aligned=True,
                    use_torchvision=use_torchvision,
                )
                for stride in featmap_strides
            ]
        )

    @property
    def strides(self) -> list[int]:
        """list[int]: Strides of the levels in pixels."""
        return [round(1 / layer.spatial_scale) for layer in self.roi_layers]

    def assign_levels(self, boxes: Tensor) -> Tensor:
        """Pyramid level of each box.

        Args:
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (..., 4).

        Returns:
            Tensor: Level indices from 0 (P2), int64, (...).
        """
        size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
        scale = size.prod(-1).sqrt()
        return torch.bucketize(scale, self.inner_bounds)

    def forward(self, feats: tuple[Tensor], boxes: Tensor) -> Tensor:
        """Pool the features of the boxes (RoIAlign of Eq. 1), in float32.

        Args:
            feats (tuple[Tensor]): Feature maps from fine to coarse,
                (N, C, H_l, W_l) each, None for a level that no box is on; more
                than there are levels are ignored.
            boxes (Tensor): x1 y1 x2 y2 in pixels of the view, (N, K, 4).

        Returns:
            Tensor: RoI features, float32, (N * K, C, S, S).
        """
        num_images, num_boxes = boxes.shape[:2]
        boxes = boxes.detach().float()
        levels = self.assign_levels(boxes)
        image = torch.arange(num_images, device=boxes.device, dtype=boxes.dtype)
        image = image.view(-1, 1, 1).expand(-1, num_boxes, 1)
        pooled = 0
        with torch.autocast(boxes.device.type, enabled=False):
            for level, (feat, layer) in enumerate(zip(feats, self.roi_layers)):
                if feat is None:
                    continue
                own = (levels == level).unsqueeze(-1)
                rois = torch.cat([image, torch.where(own, boxes, 0.0)], -1)
                # MMCV's operator reads the memory as NCHW, in one precision.
                feat = feat.to(boxes.dtype, memory_format=torch.contiguous_format)
                pooled = pooled + layer(feat, rois.flatten(0, 1))
        return pooled
