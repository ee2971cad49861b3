from mmengine.dist import barrier, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper

from soco_mm.errors import SoCoError, Stopped

from ..checkpoint_files import EPOCH, latest_checkpoint
from ..processes import RegularAgreement
from .checkpoint_hook import AtomicCheckpointHook


class StopHook(Hook):
    """Save a checkpoint and stop when a signal asks for it.

    All processes stop after the same step of the optimiser, whichever of them got
    the signal.

    Args:
        noted (list[signal.Signals]): The signals that came, see
            :func:`soco_mm.engine.stopping.signals_noted`.
    """

    # After all others, the one that saves checkpoints too.
    priority = 'LOWEST'

    def __init__(self, noted: list) -> None:
        self.noted, self.stopping = noted, False
        self.agreement = RegularAgreement(seconds=2)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Stop after a step of the optimiser."""
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapper) and not wrapper.should_update():
            return
        self.stopping |= self.agreement.any(lambda: bool(self.noted))
        if not self.stopping:
            return
        if (saver := saver_of(runner)) is None:
            self.stop(runner)
        possible = saver.within_epochs or not saver.by_epoch
        if possible and batch_idx + 1 < len(runner.train_dataloader):
            saver.save_within_epoch(runner, batch_idx)
            self.stop(runner)

    def after_val_iter(self, runner, batch_idx: int, *args, **kwargs) -> None:
        """Stop in an evaluation of the last checkpoint, which resuming repeats.

        Of several processes one may have fewer batches, so that they could not
        agree.
        """
        if not self.noted or get_world_size() > 1:
            return
        last = latest_checkpoint(runner.work_dir)
        if last is not None and last.name == EPOCH.format(runner.epoch):
            self.stop(runner)

    def after_train_epoch(self, runner) -> None:
        """Stop after an epoch, whose checkpoint is there."""
        if self.stopping:
            saver = saver_of(runner)
            if saver is None or saver.every_n_epochs(
                runner, saver.interval, saver.save_begin
            ):
                self.stop(runner)

    def stop(self, runner) -> None:
        """Stop, after the first process has written.

        Raises:
            Stopped: With a checkpoint to continue from.
            SoCoError: Without one.
        """
        barrier()
        name = self.noted[0].name if self.noted else 'a signal'
        last = latest_checkpoint(runner.work_dir)
        error: SoCoError
        if last is None:  # not one that a scheduler is to start again for ever
            error = SoCoError(f'Stopped by {name}. There is no checkpoint of it.')
        else:
            error = Stopped(
                f'Stopped by {name}. The last checkpoint is {last}. Continue with the '
                'same command and --resume.'
            )
        error.silent = get_rank() != 0
        raise error


def saver_of(runner) -> AtomicCheckpointHook | None:
    """The hook that saves checkpoints, None without one."""
    hooks = (each for each in runner.hooks if isinstance(each, AtomicCheckpointHook))
    return next(hooks, None)
