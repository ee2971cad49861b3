import copy

from mmengine.model import BaseModule
from torch import Tensor

from soco_mm.registry import MODELS

from ..utils import build_detector_part, initialize_like

LAYERS = ('shared_convs', 'shared_fcs')


@MODELS.register_module()
class ObjectConvFCHead(BaseModule):
    """The shared layers of a detector's own box head.

    MMDetection builds the head, a ``ConvFCBBoxHead`` with any number of
    convolutions and fully connected layers, which is cut to the layers that
    classification and regression share: names, shapes and initialisation are
    the detector's.

    Args:
        head (dict): The ``roi_head.bbox_head`` of the detector's config.

    Raises:
        ValueError: If the head has no shared layers.

    Example:
        >>> import torch
        >>> from soco_mm.models import ObjectConvFCHead
        >>> head = ObjectConvFCHead(
        ...     dict(type='Shared2FCBBoxHead', in_channels=8, fc_out_channels=16)
        ... )
        >>> head(torch.rand(2, 8, 7, 7)).shape
        torch.Size([2, 16])
    """

    def __init__(self, head: dict) -> None:
        super().__init__()
        self.head_cfg = copy.deepcopy(head)
        built = build_detector_part(head)
        if not has_shared_layers(built):
            raise ValueError(
                f'{type(built).__name__} has no layers that classification and '
                'regression share.'
            )
        for name in LAYERS:
            setattr(self, name, getattr(built, name))
        self.relu = built.relu
        self.avg_pool = built.avg_pool if built.with_avg_pool else None

    def init_weights(self) -> None:
        """Initialise the layers as the detector does."""
        initialize_like(self, self.head_cfg)

    def forward(self, x: Tensor) -> Tensor:
        """Turn RoI features (R, C, S, S) into object features (R, C')."""
        for conv in self.shared_convs:
            x = conv(x)
        if self.avg_pool is not None and len(self.shared_fcs):
            x = self.avg_pool(x)
        if not len(self.shared_fcs):
            return x.mean((2, 3))
        x = x.flatten(1)
        for fc in self.shared_fcs:
            x = self.relu(fc(x))
        return x


def has_shared_layers(head) -> bool:
    """Whether a box head that MMDetection has built has shared layers."""
    return any(len(getattr(head, name, ())) for name in LAYERS)
