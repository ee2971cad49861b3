"""A training that is resumed with another schedule."""

import warnings
from fractions import Fraction
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from soco_mm.utils import SoCoError
from soco_mm.utils.differences import in_words

from .layout import Layout
from .loops import StepTrainLoop, accumulation_of, iterations_of
from .numbering import renumber
from .quiet_log import tell

# The key in a checkpoint's ``meta`` that records how it was trained.
NOTED = 'soco_mm_training'
# The key in a message hub, see :class:`soco_mm.engine.hooks.TargetUpdateHook`.
SKIPPED = 'skipped_steps'
# What :func:`describe_training` notes of how a step is divided.
LAYOUT = {'batch_size', 'processes', 'accumulative_counts'}
# The entries of a scheduler's state that are its progress; the rest is its shape.
PROGRESS = ('last_step', '_global_step', '_last_value', 'verbose')


def describe_training(runner: Runner) -> dict:
    """What the length of a training depends on; it is saved in checkpoints."""
    loop = runner.train_loop
    length = (
        dict(steps=loop.max_steps)
        if isinstance(loop, StepTrainLoop)
        else dict(epochs=runner.max_epochs)
    )
    return dict(
        batch_size=runner.train_dataloader.batch_size,
        processes=runner.world_size,
        accumulative_counts=accumulation_of(runner.optim_wrapper),
        iterations=iterations_of(runner),
        **length,
    )


def layouts_of(meta: dict, now: dict) -> tuple[Layout, Layout]:
    """The layouts of a checkpoint and of the training that resumes it.

    Args:
        meta (dict): The meta data of the checkpoint. Earlier versions noted less,
            and had whole epochs only.
        now (dict): What :func:`describe_training` returns.
    """
    noted = meta.get(NOTED, {})
    then = {**now, **noted}
    if 'iterations' not in noted and meta['epoch']:
        then['iterations'] = meta['iter'] // meta['epoch']
    return Layout.of(then), Layout.of(now)


def resume_by_progress(runner: Runner, checkpoint: dict) -> None:
    """Convert a checkpoint to this training, by what is done of its epochs.

    Called before MMEngine resumes from the checkpoint. If this training has
    the same steps, schedules and settings of the optimiser as the training of
    the checkpoint, it continues with the next step; each has the same images,
    also if they are divided differently over processes and iterations. Otherwise
    the iterations that are done become those of as many epochs here; the
    schedules are as if all of them had been done here; and learning rate,
    weight decay and so on are those of this training. The target network's
    momentum follows the iterations. The weights and the optimiser's state
    stay.

    Args:
        runner (Runner): The runner, whose optimiser and schedules are built.
        checkpoint (dict): The checkpoint; changed in place.

    Raises:
        SoCoError: If it cannot be converted.
    """
    meta = checkpoint['meta']
    then, now = meta.get(NOTED, {}), describe_training(runner)
    noted = {
        key: (then[key], now[key])
        for key in now.keys() & then.keys() - {'iterations'}
        if then[key] != now[key]
    }
    noted = {key: noted[key] for key in now if key in noted}
    before, after = layouts_of(meta, now)
    same_length = 'steps' in now and then.get('steps') == now['steps']
    if same_length and before.images != after.images:
        raise SoCoError(
            f'The training counts in steps, and its checkpoint has steps of '
            f'{before.images} images, not {after.images}. Resume it with as many: '
            'batch size x processes x accumulation.'
        )
    done = meta['iter']
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    if by_epoch:
        done = before.convert(meta['epoch'], done, after)
    check_length(runner, meta, done)
    same = is_same(runner, checkpoint, before, after)
    unchanged = same and not noted and done == meta['iter']
    meta['iter'] = done
    changed = in_words(noted) or 'another schedule or optimiser'
    if not same:
        use_new_schedule(runner, checkpoint, after, changed)
    # Nothing is refused from here on.
    if by_epoch and is_main_process():
        renumber(Path(runner.work_dir), before, after)
    if unchanged:
        return
    if same and noted.keys() <= LAYOUT:
        tell(
            f'Resumed in another layout ({in_words(noted)}): each step takes the same '
            'images as before.'
        )
        return
    # Steps follow from the epochs that are done, as the schedules do.
    hub = checkpoint.get('message_hub') or {}
    hub.get('runtime_info', {}).pop(SKIPPED, None)
    whole = done == meta['epoch'] * after.iterations
    tell(
        f'Resumed with other settings ({changed}): '
        + (
            f'{meta["epoch"]} of {runner.max_epochs} epochs are done'
            if whole
            else f'{done} of {runner.max_iters} iterations are done'
        )
        + '; learning rate and momentum follow the new schedule from here on.'
    )


def check_length(runner: Runner, meta: dict, done: int) -> None:
    """Refuse a checkpoint from beyond the end of a training.

    Raises:
        SoCoError: If it is.
    """
    if meta['epoch'] > runner.max_epochs:
        raise SoCoError(
            f'The checkpoint is from epoch {meta["epoch"]}, but the training '
            f'has {runner.max_epochs} epochs. Set a larger number.'
        )
    if done > runner.max_iters:
        raise SoCoError(
            f'The checkpoint is from iteration {done}, but the training has '
            f'{runner.max_iters}. Set a larger number of steps.'
        )


def use_new_schedule(
    runner: Runner, checkpoint: dict, layout: Layout, changed: str
) -> None:
    """Give a checkpoint the schedules and the settings of a training.

    Args:
        runner (Runner): The runner, whose optimiser and schedules are built.
        checkpoint (dict): The checkpoint; changed in place.
        layout (Layout): That of this training.
        changed (str): What differs, in words.

    Raises:
        SoCoError: If it cannot be converted.
    """
    loop, wrapper = runner.train_loop, runner.optim_wrapper
    if not (
        isinstance(loop, EpochBasedTrainLoop)
        and isinstance(wrapper, OptimWrapper)
        and can_replay(runner.param_schedulers)
    ):
        raise SoCoError(
            'A training that does not count in epochs, or whose schedule '
            'follows its metrics, can only be resumed as it was started '
            f'({changed}).'
        )
    groups = checkpoint['optimizer']['param_groups']
    check_groups(groups, wrapper.optimizer.param_groups)
    meta = checkpoint['meta']
    further = meta['iter'] - meta['epoch'] * layout.iterations
    replay(
        runner.param_schedulers or [],
        meta['epoch'],
        layout.steps,
        further // layout.accumulated,
    )
    # MMEngine keeps one more group, whose learning rate is logged.
    if wrapper.base_param_settings is not None:
        groups = [*groups, checkpoint['optimizer']['base_param_settings']]
    for old, new in zip(groups, wrapper.param_groups):
        old.update((key, value) for key, value in new.items() if key != 'params')
    if runner.param_schedulers:
        checkpoint['param_schedulers'] = [
            each.state_dict() for each in runner.param_schedulers
        ]


def is_same(runner: Runner, checkpoint: dict, before: Layout, after: Layout) -> bool:
    """Whether a checkpoint comes from a training with the same steps and schedule."""
    if isinstance(runner.train_loop, EpochBasedTrainLoop) and not (
        before.has_steps_of(after)
    ):
        return False
    built, saved = runner.param_schedulers, checkpoint.get('param_schedulers')
    if isinstance(built, dict) or isinstance(saved, dict):
        return True  # of several optimisers
    if list(map(shape_of, built or [])) != list(map(shape_of, saved or [])):
        return False
    names = {each.param_name for each in built or []}
    groups = checkpoint['optimizer']['param_groups']
    ours = runner.optim_wrapper.optimizer.param_groups
    return len(groups) == len(ours) and all(
        old[key] == new[key]
        for old, new in zip(groups, ours)
        for key in old.keys() & new.keys() - names - {'params'}
    )


def shape_of(scheduler) -> dict:
    """A scheduler, or its state, without its progress."""
    state = scheduler if isinstance(scheduler, dict) else scheduler.state_dict()
    return {key: state[key] for key in state if key not in PROGRESS}


def can_replay(schedulers: list | None) -> bool:
    """Whether schedulers depend on nothing but the number of steps."""
    return not isinstance(schedulers, dict) and not any(
        getattr(each, 'need_val_args', False) for each in schedulers or []
    )


def replay(
    schedulers: list, epochs: int, steps: Fraction | int, further: int = 0
) -> None:
    """Step schedulers that were just built as a training does.

    Their values follow by recurrence, so they are those of a training that was
    not stopped, to the last bit.

    Args:
        schedulers (list): The schedulers.
        epochs (int): Epochs that are done.
        steps (Fraction): Steps of the optimiser in an epoch.
        further (int): Steps that are done of one more epoch. Defaults to 0.
    """
    with warnings.catch_warnings():
        # PyTorch warns about schedulers that step before their optimiser.
        warnings.simplefilter('ignore')
        for epoch in range(epochs + 1):
            number = int((epoch + 1) * steps) - int(epoch * steps)
            for _ in range(number if epoch < epochs else further):
                for each in schedulers:
                    if not each.by_epoch:
                        each.step()
            for each in schedulers:
                if each.by_epoch and epoch < epochs:
                    each.step()


def check_groups(saved: list, built: list) -> None:
    """Refuse the state of another optimiser.

    Raises:
        SoCoError: If it is from another optimiser.
    """
    fits = len(saved) == len(built) and all(
        len(old['params']) == len(new['params'])
        and not (old.keys() - new.keys() and new.keys() - old.keys())
        for old, new in zip(saved, built)
    )
    if not fits:
        raise SoCoError(
            'The checkpoint is from another optimiser or has other '
            'parameter groups. Resume with the optim_wrapper '
            'that it was trained with.'
        )
