"""The plan of a training: memory, computation, time, data and disk."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.config import Config
from torch import nn

from soco_mm.engine.batch_scaling import batch_of_step, rate_factor
from soco_mm.engine.loops import accumulation_of, check_length, epochs_of

from .counting import OTHER, PARTS, StepCount
from .loading import loading_rate, open_data
from .memory import Memory, measure_memory, update_operation
from .roofline import GPUS, seconds_of
from .step import build_model, count_step, is_mixed

IMAGENET = 1_281_167  # images of its training set
# Images of the second batch that is counted. The peak grows more slowly where it is
# that of the gradients, in small batches.
LARGE = 512
DAY = 86400


@dataclass(frozen=True)
class PartCost:
    """What a part of the model costs for an image.

    Attributes:
        name (str): The part; ``target`` is all of the target network.
        parameters (int): Its weights.
        activations (float): Bytes that its forward pass keeps.
        flops (float): Operations, forwards and backwards.
        bytes (float): What it reads and writes.
    """

    name: str
    parameters: int
    activations: float
    flops: float
    bytes: float


@dataclass(frozen=True)
class GPUTime:
    """The time of a training on a kind of GPU, at best.

    Attributes:
        name (str): The GPU.
        memory (int): Its memory in GiB.
        largest_batch (int): The largest batch that fits one.
        seconds (float): Of an iteration, on each GPU.
        images_per_second (float): Of all GPUs together.
        days (float): Of the whole training.
        loader_cores (float): Cores like one of this machine that load as fast.
    """

    name: str
    memory: int
    largest_batch: int
    seconds: float
    images_per_second: float
    days: float
    loader_cores: float


@dataclass(frozen=True)
class Scaling:
    """How the recipe's numbers fit the batch.

    Attributes:
        batch (int): Images of a step of the optimiser.
        recipe_batch (int, optional): Those that the recipe's numbers are for.
        accumulate (int, optional): Iterations of a step with as many images.
        rate_factor (float, optional): What ``--auto-scale`` makes of its learning
            rate.
        momentum (float, optional): And of the momentum at the start.
    """

    batch: int
    recipe_batch: int | None = None
    accumulate: int | None = None
    rate_factor: float | None = None
    momentum: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a training costs.

    Attributes:
        config (str): The config.
        mixed (bool): Whether it trains in mixed precision.
        gpus (int): Number of GPUs.
        images (int): Images of the data set.
        epochs (int): Length of the training; the last one may be cut short.
        steps (int, optional): Its length in steps of the optimiser, of a recipe
            that counts them.
        parts (list[PartCost]): Parts of the model.
        memory (Memory): Memory of one GPU.
        memory_limit (float, optional): GiB that were asked for.
        largest_batch (int, optional): The largest batch that fits these.
        times (list[GPUTime]): Time on several kinds of GPU.
        scaling (Scaling): How the recipe's numbers fit the batch.
        loading_rate (float): Images a second that one core loads here.
        checkpoint_bytes (int): Size of a checkpoint.
        checkpoints (int): How many there are at a time, at the most.
        notes (list[str]): What is not counted.
    """

    config: str
    mixed: bool
    gpus: int
    images: int
    epochs: int
    steps: int | None
    parts: list[PartCost]
    memory: Memory
    memory_limit: float | None
    largest_batch: int | None
    times: list[GPUTime]
    scaling: Scaling
    loading_rate: float
    checkpoint_bytes: int
    checkpoints: int
    notes: list[str]


def make_plan(
    cfg: Config,
    gpus: int = 1,
    memory: float | None = None,
    images: int | None = None,
) -> Plan:
    """Plan a training, without training.

    Args:
        cfg (Config): Its config; ``train_dataloader.batch_size`` is that of each
            GPU.
        gpus (int): Number of GPUs. Defaults to 1.
        memory (float, optional): Memory of one in GiB. Defaults to None.
        images (int, optional): Images of the data set. Defaults to those of the
            config where they are on this machine, else ImageNet's.

    Returns:
        Plan: The plan.

    Raises:
        SoCoError: If the model or the data pipeline cannot be built, or what the
            model computes depends on the images.
    """
    notes = [
        'Not counted: exchange between GPUs, starting kernels, evaluation, and '
        'whatever else the machine does.'
    ]
    if cfg.model.get('rpn_head'):
        notes.append(
            "Not counted: the targets of rpn_head, which depend on the images' content."
        )
    model = build_model(cfg)
    batch_size = cfg.train_dataloader.batch_size
    other = LARGE if batch_size != LARGE else 2 * LARGE
    steps = {each: count_step(cfg, model, each) for each in (batch_size, other)}
    held = measure_memory(cfg, model, steps, gpus)
    accumulated = accumulation_of(cfg.optim_wrapper)
    steps[batch_size].operations.append(update_operation(held, accumulated))
    dataset = open_data(cfg)
    if images is None:
        images = len(dataset) if dataset is not None else IMAGENET
    rate = loading_rate(cfg, dataset)
    step = steps[batch_size]
    length, max_steps = epochs_in(cfg, images, gpus), cfg.train_cfg.get('max_steps')
    scaling = scale(cfg, gpus)
    # An epoch has whole steps; for few images soco-mm pretrain takes a smaller batch.
    of_epoch = images // scaling.batch * scaling.batch or images
    seen = max_steps * scaling.batch if max_steps else of_epoch * length
    hook = cfg.get('default_hooks', {}).get('checkpoint', {})
    made = math.ceil(length / max(1, hook.get('interval', 1)))
    return Plan(
        config=Path(cfg.filename).stem,
        mixed=is_mixed(cfg),
        gpus=gpus,
        images=images,
        epochs=length,
        steps=max_steps,
        parts=part_costs(model, step, batch_size),
        memory=held,
        memory_limit=memory,
        largest_batch=None if memory is None else held.largest_batch(memory),
        times=gpu_times(step, held, gpus, seen, rate),
        scaling=scaling,
        loading_rate=rate,
        checkpoint_bytes=held.weights + held.target + held.optimizer,
        checkpoints=most_checkpoints(hook, made),
        notes=notes,
    )


def most_checkpoints(hook: dict, made: int) -> int:
    """Checkpoints that are on the disk at a time, one of which is being written.

    Args:
        hook (dict): The config of the hook that saves them.
        made (int): Those of epochs in the whole training.
    """
    keep = hook.get('max_keep_ckpts', -1)
    if not 0 < keep < made:
        return made + 1
    # And one within an epoch, which the next one replaces.
    return keep + 1 + bool(hook.get('every', '10min'))


def part_costs(model: nn.Module, step: StepCount, batch_size: int) -> list[PartCost]:
    """What each part costs for an image."""
    names = dict.fromkeys(each.part for each in step.operations if each.part != OTHER)
    found = []
    for name in [*names, OTHER]:
        own = [each for each in step.operations if each.part == name]
        found.append(
            PartCost(
                name,
                sum(value.numel() for value in part_parameters(model, name)),
                step.saved[name] / batch_size,
                sum(each.flops for each in own) / batch_size,
                sum(each.bytes for each in own) / batch_size,
            )
        )
    return found


def part_parameters(model: nn.Module, name: str) -> list[torch.Tensor]:
    """The weights of a part of a model."""
    children = [getattr(model, key, None) for key in PARTS if PARTS[key] == name]
    return [p for child in children if child is not None for p in child.parameters()]


def gpu_times(
    step: StepCount, held: Memory, gpus: int, seen: int, loading: float
) -> list[GPUTime]:
    """The time of a training on several kinds of GPU.

    Args:
        step (StepCount): The step of one batch.
        held (Memory): Its memory.
        gpus (int): Number of GPUs.
        seen (int): Images of the whole training.
        loading (float): Images a second that one core loads.
    """
    found = []
    for gpu in GPUS:
        seconds = seconds_of(step.operations, gpu)
        rate = gpus * held.batch_size / seconds
        found.append(
            GPUTime(
                gpu.name,
                gpu.memory,
                held.largest_batch(gpu.memory),
                seconds,
                rate,
                seen / rate / DAY,
                rate / loading,
            )
        )
    return found


def epochs_in(cfg: Config, images: int, gpus: int) -> int:
    """Epochs of a training, also of one that counts in steps.

    Raises:
        UsageError: If it counts in neither.
    """
    check_length(cfg)
    if cfg.train_cfg.get('max_steps'):
        # An epoch has whole steps, see EpochTrainLoop.
        per_epoch = max(1, images // batch_of_step(cfg, gpus))
        return epochs_of(cfg.train_cfg.max_steps, per_epoch)
    return cfg.train_cfg.max_epochs


def scale(cfg: Config, gpus: int) -> Scaling:
    """How the numbers of a recipe fit the batch of its steps."""
    batch = batch_of_step(cfg, gpus)
    base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size')
    if not base:
        return Scaling(batch)
    kappa = batch / base
    return Scaling(
        batch,
        base,
        max(1, math.ceil(base / (cfg.train_dataloader.batch_size * gpus))),
        rate_factor(cfg.optim_wrapper.optimizer.type, kappa),
        cfg.model.get('base_momentum', 0.99) ** kappa,
    )
