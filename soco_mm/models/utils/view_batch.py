"""Views of one size as one batch, so that their statistics share collectives."""

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, TypeAlias

import torch
from mmengine.dist import get_world_size
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..layers import ViewSyncBatchNorm, batch_of_views

Maps: TypeAlias = Any  # a tensor, or a tuple of tensors


def map_views(
    function: Callable[[Maps], Maps], views: Sequence[Maps], *parts: nn.Module | None
) -> list[Maps]:
    """Apply layers to each view, in several processes to those of one size at once.

    Norms that are synchronised keep the statistics of each view apart (see
    :class:`ViewSyncBatchNorm`), so that results are those of one view after the
    other. In one process, or with other batch norms, that is what is done.

    Args:
        function (Callable): From what a view is, with the samples in the first
            dimension, to what the layers make of it.
        views (Sequence[Tensor | tuple[Tensor]]): The views.
        *parts (nn.Module, optional): The layers that it calls.

    Returns:
        list[Tensor | tuple[Tensor]]: What it returned for each view.
    """
    if not share_collectives(*parts):
        return [function(view) for view in views]
    found: dict[int, Maps] = {}
    groups: dict[tuple, list[int]] = {}
    for index, view in enumerate(views):
        groups.setdefault(_shapes(view), []).append(index)
    for indices in groups.values():
        with batch_of_views(len(indices)):
            joint = function(_join([views[index] for index in indices]))
        found |= zip(indices, _split(joint, len(indices)))
    return [found[index] for index in range(len(views))]


def share_collectives(*parts: nn.Module | None) -> bool:
    """Whether views in one batch keep their statistics apart, and save collectives.

    Checkpointed layers are computed again in the backward pass, where nobody
    says how many views there are.
    """
    if get_world_size() == 1:
        return False
    modules = list(chain.from_iterable(part.modules() for part in parts if part))
    norms = [each for each in modules if isinstance(each, _BatchNorm) and each.training]
    return (
        bool(norms)
        and all(isinstance(norm, ViewSyncBatchNorm) for norm in norms)
        and not any(getattr(each, 'with_cp', False) for each in modules)
    )


def _shapes(view: Maps) -> tuple:
    return tuple(view.shape) if isinstance(view, Tensor) else tuple(map(_shapes, view))


def _join(views: Sequence[Maps]) -> Maps:
    if len(views) == 1:
        return views[0]
    if isinstance(views[0], Tensor):
        return torch.cat(views)
    return tuple(map(_join, zip(*views)))


def _split(joint: Maps, number: int) -> list[Maps]:
    if isinstance(joint, Tensor):
        return list(joint.chunk(number))
    return list(zip(*(_split(each, number) for each in joint)))
