from mmdet.models import FPN
from torch import Tensor, nn


def most_skipped(neck: nn.Module | None) -> int:
    """How many of the finest maps of a neck :func:`upper_levels` can leave out.

    None but those of MMDetection's FPN, whose coarse maps do not depend on finer
    ones. The last stage of the backbone stays: the levels above are made from it.
    """
    return len(neck.lateral_convs) - 1 if type(neck) is FPN else 0


def upper_levels(neck: FPN, inputs: tuple[Tensor, ...], skipped: int) -> tuple:
    """Compute the maps of an FPN from some level on.

    Args:
        neck (FPN): The neck.
        inputs (tuple[Tensor]): What it takes.
        skipped (int): How many of the finest maps are left out, see
            :func:`most_skipped`.

    Returns:
        tuple[Tensor | None]: Its maps, None for those that are left out.

    Example:
        >>> import torch
        >>> from mmdet.models import FPN
        >>> from soco_mm.models.utils.upper_levels import upper_levels
        >>> neck = FPN(in_channels=[4, 8], out_channels=4, num_outs=2)
        >>> inputs = torch.rand(1, 4, 8, 8), torch.rand(1, 8, 4, 4)
        >>> fine, coarse = upper_levels(neck, inputs, 1)
        >>> fine is None, torch.equal(coarse, neck(inputs)[1])
        (True, True)
    """
    # The same layers, but not all of them.
    upper = FPN.__new__(FPN)
    upper.__dict__ = dict(neck.__dict__, _modules=dict(neck._modules))
    for name in ('lateral_convs', 'fpn_convs'):
        setattr(upper, name, getattr(neck, name)[skipped:])
    upper.start_level += skipped
    upper.num_outs -= skipped
    return (None,) * skipped + upper(inputs)
