"""What the health of a training is measured from: features, boxes and weights."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from soco_mm.utils.levels import level_name

from .object_metrics import effective_rank, pair_cosines, relative_spread

# Of the objects of a batch: a rank of more takes longer than it tells.
MOST_OBJECTS = 128
# Of a tensor, evenly spaced; the movement of larger ones is estimated by them.
MOST_SAMPLES = 4096
# The first part of a parameter's name, and what it is called here.
PARTS = dict(roi_head='head', bbox_head='head')


class FeatureWatch:
    """Keeps what the parts of a SoCo model compute in a step that is made anyway.

    Nothing is computed again and nothing waits for the device.

    Args:
        model (SoCo): The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.maps: list[Tensor] = []
        self.head: list[Tensor] = []
        self.projections: list[Tensor] = []
        self.handles = [
            model.backbone.register_forward_hook(self._keep_maps),
            model.projector.register_forward_hook(self._keep_objects),
        ]

    @torch.no_grad()
    def _keep_maps(self, module: nn.Module, args: tuple, output: Any) -> None:
        if not self.maps:  # of the first view
            last = output if isinstance(output, Tensor) else output[-1]
            self.maps.append(last.detach().mean((2, 3)))

    def _keep_objects(self, module: nn.Module, args: tuple, output: Any) -> None:
        self.head.append(args[0][0].detach())
        self.projections.append(output[0].detach())

    def close(self) -> None:
        """Stop watching."""
        for each in self.handles:
            each.remove()

    def measure(self, valid: list[Tensor]) -> dict[str, Any]:
        """The figures of what was kept; the host waits for the device here.

        Args:
            valid (list[Tensor]): Valid proposals of each view, bool (N, K), on
                the CPU.

        Returns:
            dict: Those of a row of ``health.json`` that are about features.
        """
        both = valid[0] & valid[1]
        rows = both.flatten().nonzero()[:MOST_OBJECTS, 0]
        number = both.numel()
        # One view after the other, in one call of the projector or in several.
        head, z = (
            torch.cat(each).unflatten(0, (-1, number))[:, rows.to(each[0].device)]
            for each in (self.head, self.projections)
        )
        head, z = head[0].float().cpu(), z[:2].float().cpu()
        maps = self.maps[0][: len(both)].float().cpu()
        positive, others = pair_cosines(z[0], z[1], rows // both.shape[1])
        return dict(
            effective_rank_head=rank_of(head),
            effective_rank_projections=rank_of(z[0]),
            effective_rank_backbone=rank_of(maps),
            objects=len(rows),
            spread_projections=relative_spread(z[0]),
            cosine_positive=positive,
            cosine_random=others,
        )


def rank_of(features: Tensor) -> float:
    """The effective rank; NaN where it cannot be told."""
    if len(features) < 2 or not features.isfinite().all():
        return float('nan')
    return effective_rank(features)


class BoxCount:
    """Counts boxes over the steps between two rows.

    Args:
        extractor (nn.Module): The RoI extractor, which assigns levels.
    """

    def __init__(self, extractor: nn.Module) -> None:
        self.bounds = extractor.inner_bounds.cpu()
        self.names = list(map(level_name, extractor.strides))
        self.levels = torch.zeros(len(self.names))
        self.common = self.slots = 0

    def add(self, boxes: list[Tensor], valid: list[Tensor]) -> None:
        """Count the boxes of a batch, on the CPU.

        Args:
            boxes (list[Tensor]): Of each view, (N, K, 4), in its pixels.
            valid (list[Tensor]): Valid ones, bool (N, K) each.
        """
        masks = torch.stack(valid).cpu()
        size = torch.stack(boxes).cpu().float()[masks]
        scale = (size[:, 2:] - size[:, :2]).clamp(min=0).prod(-1).sqrt()
        found = torch.bucketize(scale, self.bounds)
        self.levels += torch.bincount(found, minlength=len(self.levels))
        # The loss contrasts the first view with each other one.
        self.common += int((masks[0] & masks[1:].any(0)).sum())
        self.slots += masks[0].numel()

    def pop(self) -> dict[str, Any]:
        """``masked_share`` and ``boxes_by_level`` of what was counted; count anew."""
        shares = self.levels / self.levels.sum()
        found = dict(
            masked_share=1 - self.common / self.slots,
            boxes_by_level=dict(zip(self.names, shares.tolist())),
        )
        self.levels.zero_()
        self.common = self.slots = 0
        return found


def sampled(model: nn.Module) -> Iterator[tuple[str, bool, float, Tensor]]:
    """Evenly spaced values of each trained parameter.

    Up to 4096 of a tensor, 1.5 MB for ResNet-50-FPN and its heads.

    Args:
        model (nn.Module): The model.

    Yields:
        tuple: The part that it is of; whether it is a weight, not a bias or of a
        norm; how many values one stands for; and the values, (S,).
    """
    for name, value in model.named_parameters():
        first, *_ = name.removeprefix('head.').split('.')
        if value.requires_grad and first != 'target_net':
            step = -(-value.numel() // MOST_SAMPLES)
            values = value.detach().flatten()[::step]
            weight = value.numel() / len(values)
            yield PARTS.get(first, first), value.dim() > 1, weight, values


def weight_samples(model: nn.Module) -> Tensor:
    """All values of :func:`sampled` after each other, float32, on the CPU."""
    return torch.cat([values.float() for *_, values in sampled(model)]).cpu()


def movement(model: nn.Module, start: Tensor) -> dict[str, dict[str, float]]:
    """How far parameters are from their start, relative to its norm.

    Args:
        model (nn.Module): The model.
        start (Tensor): What :func:`weight_samples` returned at the start.

    Returns:
        dict: ``movement_weights`` and ``movement_biases``, by part.
    """
    now = weight_samples(model)
    squares: dict[str, dict[str, list[float]]] = {}
    at = 0
    for part, is_weight, weight, values in sampled(model):
        was, new = (each[at : at + len(values)].double() for each in (start, now))
        at += len(values)
        kind = 'movement_weights' if is_weight else 'movement_biases'
        sums = squares.setdefault(kind, {}).setdefault(part, [0.0, 0.0])
        sums[0] += weight * float((new - was).square().sum())
        sums[1] += weight * float(was.square().sum())
    return {
        kind: {
            part: (moved / norm) ** 0.5 if norm else float('nan')
            for part, (moved, norm) in parts.items()
        }
        for kind, parts in squares.items()
    }
