from mmcv.cnn import ConvModule
from mmengine.model import BaseModule
from torch import Tensor, nn

from soco_mm.registry import MODELS


@MODELS.register_module()
class ObjectBBoxHead(BaseModule):
    """The shared layers of MMDetection's ``Shared4Conv1FCBBoxHead``.

    Parameter names, shapes and initialisation are those of
    ``mmdet.ConvFCBBoxHead`` up to its two predictors, which need labels and
    are not pretrained.

    Args:
        num_shared_convs (int): Number of 3x3 convolutions. Defaults to 4.
        num_shared_fcs (int): Number of fully connected layers. Defaults to 1.
        in_channels (int): Channels of the RoI features. Defaults to 256.
        roi_feat_size (int): Side of the RoI features. Defaults to 7.
        conv_out_channels (int): Channels of the convolutions. Defaults to 256.
        fc_out_channels (int): Channels of the fully connected layers.
            Defaults to 1024.
        norm_cfg (dict, optional): Norm layer of the convolutions. Defaults to
            None, none.
    """

    def __init__(
        self,
        num_shared_convs: int = 4,
        num_shared_fcs: int = 1,
        in_channels: int = 256,
        roi_feat_size: int = 7,
        conv_out_channels: int = 256,
        fc_out_channels: int = 1024,
        norm_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            init_cfg=dict(
                type='Xavier', distribution='uniform', override=dict(name='shared_fcs')
            )
        )
        channels = in_channels
        self.shared_convs = nn.ModuleList()
        for _ in range(num_shared_convs):
            self.shared_convs.append(
                ConvModule(channels, conv_out_channels, 3, padding=1, norm_cfg=norm_cfg)
            )
            channels = conv_out_channels
        channels *= roi_feat_size**2
        self.shared_fcs = nn.ModuleList()
        for _ in range(num_shared_fcs):
            self.shared_fcs.append(nn.Linear(channels, fc_out_channels))
            channels = fc_out_channels
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Turn RoI features (R, C, S, S) into object features (R, C')."""
        for conv in self.shared_convs:
            x = conv(x)
        x = x.flatten(1)
        for fc in self.shared_fcs:
            x = self.relu(fc(x))
        return x
