"""A training that is resumed with another schedule."""

import warnings
from fractions import Fraction

from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop, Runner

from soco_mm.utils import SoCoError
from soco_mm.utils.differences import in_words

from .loops import accumulation_of
from .quiet_log import tell

# The key in a checkpoint's ``meta`` that records how it was trained.
NOTED = 'soco_mm_training'
# The key in a message hub, see :class:`soco_mm.engine.hooks.TargetUpdateHook`.
SKIPPED = 'skipped_steps'
# The entries of a scheduler's state that are its progress; the rest is its shape.
PROGRESS = ('last_step', '_global_step', '_last_value', 'verbose')


def describe_training(runner: Runner) -> dict:
    """What the length of a training depends on; it is saved in checkpoints."""
    return dict(
        batch_size=runner.train_dataloader.batch_size,
        processes=runner.world_size,
        accumulative_counts=accumulation_of(runner.optim_wrapper),
        epochs=runner.max_epochs,
    )


def resume_by_progress(runner: Runner, checkpoint: dict) -> None:
    """Convert a checkpoint to this training, by the epochs that are done.

    Called before MMEngine resumes from the checkpoint. If this training has
    the same iterations per epoch, schedules and settings of the optimiser as
    the training of the checkpoint, nothing is changed. Otherwise the
    iterations that are done become those of as many epochs here; the
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
        for key in now
        if key in then and then[key] != now[key]
    }
    if meta['epoch'] > runner.max_epochs:
        raise SoCoError(
            f'The checkpoint is from epoch {meta["epoch"]}, but the training '
            f'has {runner.max_epochs} epochs. Set a larger number.'
        )
    same = is_same(runner, checkpoint)
    if same and not noted:
        return
    loop, wrapper = runner.train_loop, runner.optim_wrapper
    changed = in_words(noted) or 'another schedule or optimiser'
    if not same:
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
        meta['iter'] = meta['epoch'] * len(runner.train_dataloader)
        replay(
            runner.param_schedulers or [],
            meta['epoch'],
            Fraction(len(runner.train_dataloader), accumulation_of(wrapper)),
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
    # Steps follow from the epochs that are done, as the schedules do.
    hub = checkpoint.get('message_hub') or {}
    hub.get('runtime_info', {}).pop(SKIPPED, None)
    tell(
        f'Resumed with other settings ({changed}): {meta["epoch"]} of '
        f'{runner.max_epochs} epochs are done; learning rate and momentum '
        'follow the new schedule from here on.'
    )


def is_same(runner: Runner, checkpoint: dict) -> bool:
    """Whether a checkpoint comes from a training with the same schedule."""
    meta = checkpoint['meta']
    if isinstance(runner.train_loop, EpochBasedTrainLoop) and (
        meta['iter'] != meta['epoch'] * len(runner.train_dataloader)
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


def replay(schedulers: list, epochs: int, steps: Fraction) -> None:
    """Step schedulers that were just built as a training does.

    Their values follow by recurrence, so they are those of a training that was
    not stopped, to the last bit.

    Args:
        schedulers (list): The schedulers.
        epochs (int): Epochs that are done.
        steps (Fraction): Steps of the optimiser in an epoch.
    """
    with warnings.catch_warnings():
        # PyTorch warns about schedulers that step before their optimiser.
        warnings.simplefilter('ignore')
        for epoch in range(epochs):
            for _ in range(int(epoch * steps), int((epoch + 1) * steps)):
                for each in schedulers:
                    if not each.by_epoch:
                        each.step()
            for each in schedulers:
                if each.by_epoch:
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
