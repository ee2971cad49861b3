from mmcv.cnn import build_norm_layer
from mmdet.models.backbones import ResNet
from mmdet.models.roi_heads.shared_heads import ResLayer
from torch import Tensor

from soco_mm.registry import MODELS


@MODELS.register_module()
class ResLayerExtraNorm(ResLayer):
    """Res5 of a C4 detector with one more norm behind it.

    The authors' files for fine-tuning C4 detectors have it
    (``Res5ROIHeadsExtraNorm``). It is equal to MMSelfSup's and MMPretrain's
    layer of this name, which register it in MMDetection, so that only one of
    the two can be imported.

    Args:
        depth (int): Depth of the ResNet.
        **kwargs: Other arguments of MMDetection's ``ResLayer``.
    """

    def __init__(self, depth: int, **kwargs) -> None:
        super().__init__(depth, **kwargs)
        block, _ = ResNet.arch_settings[depth]
        channels = 64 * 2**self.stage * block.expansion
        self.norm = build_norm_layer(self.norm_cfg, channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Apply the stage and the norm.

        Args:
            x (Tensor): RoI features, (R, C, H, W).

        Returns:
            Tensor: (R, 2C, H/2, W/2).
        """
        return self.norm(super().forward(x))
