"""Memory of a training on one GPU."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from mmengine.config import Config
from torch import nn

from soco_mm.engine.config import building
from soco_mm.engine.hooks.step_guard_hook import weights_that_change
from soco_mm.engine.loops import accumulation_of
from soco_mm.engine.optimizers import LARS  # noqa: F401 (registers it)
from soco_mm.registry import OPTIMIZERS

from .counting import Operation, StepCount

MIB = 2**20
# Of a GPU's memory, for its context, the workspaces of convolutions and gaps
# between allocations.
RESERVED = 0.1
ROUNDED_TO = 8  # batches larger than this


@dataclass(frozen=True)
class Memory:
    """Bytes that a training holds on one GPU.

    Attributes:
        weights (int): Parameters and buffers of the online network.
        target (int): Those of the target network.
        replay_copy (int): The weights of both that change, once more: those before
            a step, for ``soco-mm replay``.
        optimizer (int): State of the optimiser.
        gradients (int): Gradients, which come in the backward pass as the
            activations go.
        buckets (int): Of several GPUs their copy, which PyTorch's
            ``DistributedDataParallel`` sums over the GPUs; it stays.
        activations (dict[str, int]): What the forward pass keeps, by part.
        peak (int): The most at a time, all of the above that is there then.
        batch_size (int): Images of a batch.
        per_image (float): By how much the peak grows with each image.
    """

    weights: int
    target: int
    replay_copy: int
    optimizer: int
    gradients: int
    buckets: int
    activations: Mapping[str, int]
    peak: int
    batch_size: int
    per_image: float

    def largest_batch(self, memory: float) -> int:
        """The largest batch that fits.

        Args:
            memory (float): Memory of the GPU in GiB, of which a tenth is left.

        Returns:
            int: Images, 0 if none fits; a multiple of 8 from there on.
        """
        free = memory * (1 - RESERVED) * MIB * 1024 - self.peak
        images = max(0, int(self.batch_size + free // self.per_image))
        return images - images % ROUNDED_TO if images > ROUNDED_TO else images


def measure_memory(
    cfg: Config, model: nn.Module, steps: Mapping[int, StepCount], gpus: int = 1
) -> Memory:
    """The memory of a training.

    Args:
        cfg (Config): Its config.
        model (nn.Module): Its model.
        steps (Mapping[int, StepCount]): Steps of two batches by their images;
            the first is the one that is planned.
        gpus (int): Number of GPUs. Defaults to 1.
    """
    (batch_size, step), (other, second) = steps.items()
    target = getattr(model, 'target_net', None)
    averaged = set() if target is None else {id(value) for value in values(target)}
    online = [value for value in values(model) if id(value) not in averaged]
    trained = [value for value in online if value.requires_grad]
    gradients = size(trained)
    static = dict(
        weights=size(online),
        target=0 if target is None else size(values(target)),
        replay_copy=size(list(weights_that_change(model).values())),
        optimizer=gradients * states_per_weight(cfg.optim_wrapper.optimizer),
        gradients=gradients,
        buckets=gradients * (gpus > 1),
    )
    # Between the iterations of a step the gradients stay.
    accumulated = accumulation_of(cfg.optim_wrapper) > 1
    held = sum(static.values()) - gradients * (not accumulated)
    return Memory(
        **static,
        activations=dict(step.saved),
        peak=held + step.peak,
        batch_size=batch_size,
        per_image=(step.peak - second.peak) / (batch_size - other),
    )


def update_operation(held: Memory, accumulated: int) -> Operation:
    """What optimiser and target network move after a batch, each number once.

    Args:
        held (Memory): The memory of the training.
        accumulated (int): Batches of a step of the optimiser.
    """
    # Weights, gradients and state are read, weights and state written; the target
    # is read beside the weights, and written.
    optimizer = 3 * held.gradients + 2 * held.optimizer
    moved = optimizer + 3 * held.target
    return Operation('update', 0, moved // accumulated, half=False)


def values(module: nn.Module) -> list[torch.Tensor]:
    """Parameters and buffers of a module."""
    return [*module.parameters(), *module.buffers()]


def size(tensors: list[torch.Tensor]) -> int:
    """Bytes of tensors."""
    return sum(value.numel() * value.element_size() for value in tensors)


def states_per_weight(optimizer: dict) -> int:
    """How many numbers an optimiser keeps for each weight.

    Args:
        optimizer (dict): Its config.

    Raises:
        SoCoError: If it cannot be built.

    Example:
        >>> from soco_mm.planning.memory import states_per_weight
        >>> states_per_weight(dict(type='LARS', lr=1.0))
        1
        >>> states_per_weight(dict(type='AdamW', lr=1e-3))
        2
    """
    weight = nn.Parameter(torch.ones(2, 2))
    with building('an optimiser'):
        built = OPTIMIZERS.build(dict(optimizer, params=[weight]))
    weight.grad = torch.ones_like(weight)
    built.step()
    state = built.state[weight].values()
    return sum(
        isinstance(value, torch.Tensor) and value.shape == weight.shape
        for value in state
    )
