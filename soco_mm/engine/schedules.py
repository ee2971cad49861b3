"""The length of a schedule."""

import copy
import math
from collections.abc import Mapping
from fractions import Fraction

from mmengine.config import Config
from mmengine.runner import Runner

from soco_mm.utils import UsageError
from soco_mm.utils.class_names import class_name

from .loops import StepTrainLoop, accumulation_of

# What a training counts its length in.
LOOPS = ('max_epochs', 'max_steps', 'max_iters')
# What MMEngine's schedulers count in iterations, besides begin and end.
LENGTHS = ('T_max', 'step_size', 'total_steps', 'milestones')


def set_epochs(cfg: Config, epochs: int, iterations: int) -> None:
    """Set the length of a training with a warm-up and a cosine.

    The warm-up shrinks with it, to a tenth of the epochs but no fewer than
    two iterations, below which MMEngine's never ends. A training that counts
    in steps then counts in epochs.

    Args:
        cfg (Config): The config; changed in place.
        epochs (int): Number of epochs.
        iterations (int): Iterations of an epoch.

    Raises:
        UsageError: If the config has another schedule.
    """
    schedule = [class_name(each) for each in cfg.param_scheduler]
    if schedule != ['LinearLR', 'CosineAnnealingLR']:
        raise UsageError(
            'The number of epochs can be set for a LinearLR followed by a '
            f'CosineAnnealingLR, but the config has {schedule}. Set the '
            'schedule in the config.'
        )
    warm_up, cosine = cfg.param_scheduler
    length, least = epochs, math.ceil(2 / iterations)
    if not warm_up.by_epoch:
        length, least = epochs * iterations, 2
    warmed_up = warm_up.end
    if cfg.train_cfg.get('max_steps') is not None:  # of the optimiser
        warmed_up *= accumulation_of(cfg.optim_wrapper)
    end = max(min(warmed_up, math.ceil(length / 10)), least)
    if cfg.train_cfg.pop('max_steps', None) is not None:
        cfg.train_cfg.type = 'EpochBasedTrainLoop'
    cfg.train_cfg.max_epochs = epochs
    if end >= length:
        end = 0
        cfg.param_scheduler = [cosine]
    warm_up.end = end
    cosine.update(begin=end, end=length, T_max=length - end)


def describe_mismatch(cfg: Config) -> str | None:
    """Say where the learning rate's schedule ends if the training does not.

    Args:
        cfg (Config): The config of a training.

    Returns:
        str, optional: A sentence; None if both have the same length, or a
        schedule has no end or counts otherwise than the training.
    """
    key = next((each for each in LOOPS if each in cfg.train_cfg), None)
    if key is None:
        return None
    by_epoch, length = key == 'max_epochs', cfg.train_cfg[key]
    schedules = cfg.get('param_scheduler') or []
    if not isinstance(schedules, (list, tuple)):
        schedules = [schedules]
    ends = [
        each['end']
        for each in schedules
        if each.get('end') and each.get('by_epoch', True) == by_epoch
    ]
    if not ends or len(ends) < len(schedules) or max(ends) == length:
        return None
    return (
        f'train_cfg.{key} is {length}, but the schedule of the learning rate is made '
        f'for {max(ends)}: set begin, end and T_max of param_scheduler too.'
    )


def count_optimizer_steps(runner: Runner) -> None:
    """Let schedules count steps of the optimiser, not iterations.

    MMEngine steps its schedules in every iteration. With gradient accumulation
    over N iterations, each step of the optimiser then has the learning rate of
    another place of the schedule than with an N times as large batch. Here
    lengths in iterations become lengths in steps, if the hook of the schedules is
    :class:`AmpParamSchedulerHook`, which steps them with the optimiser.

    Args:
        runner (Runner): The runner, whose schedules are not built yet; changed
            in place. Without accumulation nothing changes.
    """
    accumulated = accumulation_of(runner.optim_wrapper)
    schedules = runner.param_schedulers
    hooked = any(getattr(hook, 'counts_steps', False) for hook in runner.hooks)
    if accumulated == 1 or schedules is None or not hooked:
        return
    loop = runner.train_loop
    epoch = Fraction(len(loop.dataloader), accumulated)
    # A loop that counts steps has a schedule that does.
    iteration = Fraction(1, 1 if isinstance(loop, StepTrainLoop) else accumulated)
    last = math.ceil(Fraction(loop.max_iters, accumulated))
    runner.param_schedulers = [
        in_steps(each, epoch, iteration, last)
        for each in (schedules if isinstance(schedules, (list, tuple)) else [schedules])
    ]


def in_steps(
    schedule: Mapping, epoch: Fraction, iteration: Fraction, last: int
) -> dict:
    """The config of a schedule with lengths in steps of the optimiser.

    Args:
        schedule (Mapping): The config.
        epoch (Fraction): Steps of an epoch.
        iteration (Fraction): Steps of an iteration.
        last (int): Steps of the training.

    Returns:
        dict: The config. One that counts in epochs stays as it is.

    Example:
        >>> from fractions import Fraction
        >>> from soco_mm.engine.schedules import in_steps
        >>> cosine = dict(by_epoch=False, begin=9, end=90, T_max=81)
        >>> in_steps(cosine, Fraction(10), Fraction(1, 3), 30)
        {'by_epoch': False, 'begin': 3, 'end': 30, 'T_max': 27}
    """
    found = copy.deepcopy(dict(schedule))
    unit = iteration
    if found.get('by_epoch', True):
        if not found.pop('convert_to_iter_based', False):
            return found
        found['by_epoch'], unit = False, epoch
    begin = found.get('begin', 0)

    def steps(length):
        if isinstance(length, (list, tuple)):
            return [steps(each) for each in length]
        # Of the same begin, so that phases follow on one another.
        return math.ceil((begin + length) * unit) - math.ceil(begin * unit)

    for key in LENGTHS:
        if found.get(key) is not None:
            found[key] = steps(found[key])
    for key in ('begin', 'end'):
        if key in found:
            found[key] = math.ceil(found[key] * unit)
    found.setdefault('end', last)
    return found
