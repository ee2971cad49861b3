from collections.abc import Sequence
from itertools import pairwise

from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from soco_mm.registry import MODELS


@MODELS.register_module()
class NonLinearNeck(BaseModule):
    """Linear layers with norms and ReLUs between: projector and predictor.

    The paper's are linear, BN, ReLU, linear (Section 4.1). Arguments, names of
    parameters (``fc0``, ``bn0``, ``fc1``) and initial weights are those of
    MMSelfSup's ``NonLinearNeck``, so that checkpoints fit either.

    Args:
        in_channels (int): Channels of the input.
        hid_channels (int): Channels between the layers.
        out_channels (int): Channels of the output.
        num_layers (int): Number of linear layers, at least 2. Defaults to 2.
        with_bias (bool): Whether all linear layers but the last have a bias.
            Defaults to False.
        with_last_bn (bool): Whether a norm follows the last one. Defaults to
            True.
        with_last_bn_affine (bool): Whether that norm has parameters. Defaults
            to True.
        with_last_bias (bool): Whether the last linear layer has a bias.
            Defaults to False.
        with_avg_pool (bool): Whether maps, (N, C, H, W), are averaged first.
            Defaults to True.
        norm_cfg (dict, optional): Config of the norms. Defaults to None,
            ``dict(type='SyncBN')``.
        init_cfg (dict | list[dict], optional): Config of the initialisation.
            Defaults to None, 1 for the scale of norms.

    Example:
        >>> import torch
        >>> from soco_mm.models import NonLinearNeck
        >>> neck = NonLinearNeck(8, 16, 4, norm_cfg=dict(type='BN1d'))
        >>> neck([torch.rand(2, 8, 7, 7)])[0].shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        in_channels: int,
        hid_channels: int,
        out_channels: int,
        num_layers: int = 2,
        with_bias: bool = False,
        with_last_bn: bool = True,
        with_last_bn_affine: bool = True,
        with_last_bias: bool = False,
        with_avg_pool: bool = True,
        norm_cfg: dict | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if norm_cfg is None:
            norm_cfg = dict(type='SyncBN')
        if init_cfg is None:
            init_cfg = dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm'])
        super().__init__(init_cfg)
        if num_layers < 2:
            raise ValueError(f'num_layers is at least 2, but got {num_layers}.')
        self.avgpool = nn.AdaptiveAvgPool2d(1) if with_avg_pool else nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        widths = [in_channels, *[hid_channels] * (num_layers - 1), out_channels]
        self.layers: list[list[str]] = []  # names of each linear layer and its norm
        for i, channels in enumerate(pairwise(widths)):
            last = i == num_layers - 1
            bias = with_last_bias if last else with_bias
            self.add_module(f'fc{i}', nn.Linear(*channels, bias=bias))
            self.layers.append([f'fc{i}'])
            if not last or with_last_bn:
                cfg = dict(norm_cfg, affine=with_last_bn_affine) if last else norm_cfg
                self.add_module(f'bn{i}', build_norm_layer(cfg, channels[1])[1])
                self.layers[-1].append(f'bn{i}')

    def forward(self, x: Sequence[Tensor]) -> list[Tensor]:
        """Apply the layers.

        Args:
            x (Sequence[Tensor]): One tensor: maps, (N, C, H, W), which are averaged;
                with ``with_avg_pool=False`` features, (N, C), or maps, flattened.

        Returns:
            list[Tensor]: One tensor, (N, C').
        """
        (out,) = x
        out = self.avgpool(out).flatten(1)
        for i, names in enumerate(self.layers):
            out = self.relu(out) if i else out
            for name in names:
                out = getattr(self, name)(out)
        return [out]
