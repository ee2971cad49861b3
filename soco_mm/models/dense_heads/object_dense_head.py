import copy

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from soco_mm.registry import MODELS

from ..utils import build_detector_part, initialize_like

# Stacks of layers between the neck and the predictors, each of which starts from
# the neck's features.
TOWERS = (
    'cls_convs',
    'reg_convs',
    'kernel_convs',  # RTMDet-Ins
    'inter_convs',  # TOOD
    'head_convs',  # YOLACT
    'cls_subnet',  # YOLOF
    'bbox_subnet',
    'multi_level_cls_convs',  # YOLOX
    'multi_level_reg_convs',
)


@MODELS.register_module()
class ObjectDenseHead(BaseModule):
    """The convolution towers of a one-stage detector's head.

    The detector runs them over whole feature maps; here they run over the RoI
    features of an object, and what they return is averaged over the positions
    and concatenated. It is :math:`f^H` of Eq. 1 for detectors that have no
    R-CNN head.

    MMDetection builds the head, which is cut to its towers: names, shapes and
    initialisation are the detector's. The predictors behind the towers need
    labels and are not pretrained.

    Towers with layers of their own for each level (RTMDet, whose norms are
    separate, and YOLOX) run over the objects of that level.

    Args:
        head (dict): The ``bbox_head`` of the detector's config.

    Raises:
        ValueError: If the head has no towers.

    Example:
        >>> import torch
        >>> from soco_mm.models import ObjectDenseHead
        >>> head = ObjectDenseHead(
        ...     dict(type='RetinaHead', num_classes=3, in_channels=16, feat_channels=8)
        ... )
        >>> x = torch.rand(2, 16, 7, 7)  # RoI features of two objects
        >>> head(x, torch.tensor([0, 1])).shape
        torch.Size([2, 16])
    """

    def __init__(self, head: dict) -> None:
        super().__init__()
        self.head_cfg = copy.deepcopy(head)
        built = build_detector_part(head)
        self.towers = find_towers(built)
        if not self.towers:
            raise ValueError(
                f'{type(built).__name__} has no towers of convolutions that could '
                'run over the features of an object.'
            )
        for name in self.towers:
            setattr(self, name, getattr(built, name))
        self.separate = has_own_levels(getattr(self, self.towers[0]))

    def init_weights(self) -> None:
        """Initialise the towers as the detector does."""
        initialize_like(self, self.head_cfg)

    def forward(self, x: Tensor, levels: Tensor) -> Tensor:
        """Turn RoI features into object features.

        Args:
            x (Tensor): RoI features, (R, C, S, S).
            levels (Tensor): The pyramid level of each, from 0, int64, (R,).

        Returns:
            Tensor: Object features, (R, C'), those of all towers after each
            other.
        """
        towers = [getattr(self, name) for name in self.towers]
        if not self.separate:
            return torch.cat([run_tower(tower, x) for tower in towers], 1)
        # Empty levels run too: all processes have to take part in synchronised
        # norms, and all weights get a gradient.
        order = levels.argsort(stable=True)
        each = torch.arange(len(towers[0]), device=levels.device)
        sizes = (levels[:, None] == each).sum(0).tolist()  # the only wait for a GPU
        pooled = [
            torch.cat([run_tower(tower[level], part) for tower in towers], 1)
            for level, part in enumerate(x[order].split(sizes))
        ]
        return torch.cat(pooled)[order.argsort()]


def find_towers(head: nn.Module) -> list[str]:
    """Names of the towers of a dense head; none if their layers are predictors."""
    # Those of SSD predict at once.
    if any(each.__name__ == 'SSDHead' for each in type(head).__mro__):
        return []
    return [name for name in TOWERS if len(getattr(head, name, ()))]


def has_own_levels(tower: nn.Module) -> bool:
    """Whether a tower has layers of its own for each level."""
    return all(isinstance(each, (nn.ModuleList, nn.Sequential)) for each in tower)


def run_tower(tower: nn.Module, x: Tensor) -> Tensor:
    """Run the layers of a tower, and average over the positions; (R, C)."""
    for layer in tower:
        x = layer(x)
    return x.mean((2, 3))
