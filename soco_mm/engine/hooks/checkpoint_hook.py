import time
from collections import deque
from collections.abc import Callable
from math import ceil
from pathlib import Path

import numpy as np
from mmengine.dist import get_rank, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook, IterTimerHook
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper

from soco_mm.registry import HOOKS
from soco_mm.utils import PARTIAL, SoCoError, atomic_write
from soco_mm.utils.durations import in_words, read_duration
from soco_mm.utils.finite import non_finite

from ..checkpoint_files import (
    CHECKPOINT_DIR,
    ITERATION,
    last_healthy,
    latest_checkpoint,
    numbered,
)
from ..disk import MOST_FAILURES, NotWritten, report_unwritten
from ..loops import EpochTrainLoop, iterations_of
from ..processes import RegularAgreement, any_process
from ..quiet_log import tell
from ..resume import NOTED, describe_training, resume_by_progress
from ..runtime import unwrap_model
from .runtime_info_hook import DeferredRuntimeInfoHook
from .step_guard_hook import keep_step


class CheckpointTimes:
    """When the next checkpoint within an epoch is due.

    Writing them takes at most ``SHARE`` of the time: where it would take more,
    the interval grows, which is said once.

    Args:
        every (float): Seconds from one checkpoint to the next.
    """

    SHARE = 0.02

    def __init__(self, every: float) -> None:
        self.every = every
        self.last, self.told = time.monotonic(), False

    def due(self) -> bool:
        """Whether it is, on the first process, which decides for all."""
        return is_main_process() and time.monotonic() - self.last >= self.every

    def written(self, seconds: float) -> None:
        """Note that a checkpoint was written, and how long that took."""
        self.last = time.monotonic()
        needed = seconds / self.SHARE
        if needed <= self.every:
            return
        if not self.told:
            tell(
                f'Writing a checkpoint takes {seconds:.1f} s. One is written every '
                f'{in_words(needed)} instead of every {in_words(self.every)}, which '
                f'is {self.SHARE:.0%} of the time.'
            )
        self.every, self.told = needed, True


@register_backend('soco_mm.AtomicLocalBackend')
class AtomicLocalBackend(LocalBackend):
    """Local files that appear whole or not at all."""

    def put(self, obj: bytes, filepath) -> None:
        """Write bytes under a temporary name, then rename."""
        try:
            atomic_write(filepath, obj)
        except OSError as error:
            raise NotWritten(filepath, len(obj), error) from error


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """MMEngine's checkpoints in ``WORK_DIR/checkpoints``, whole and plain.

    A kill while a checkpoint is written leaves the one before it, and so does a
    full disk: the training goes on, and stops after the second failure in a row
    or if it was the last epoch's. And a checkpoint holds only tensors and
    plain types, so that ``torch.load`` reads it as weights only, also when
    MMDetection calls it: MMEngine pickles an object for the history of each
    scalar, which PyTorch refuses from 2.6 on.

    ``epoch_N.pth`` holds whole epochs. Within an epoch ``iter_N.pth`` is written
    by time, after a step of the optimiser; the next checkpoint replaces it. Loops
    other than
    :class:`soco_mm.engine.loops.EpochTrainLoop` are not resumed within an epoch.

    Weights and the optimiser's state are checked before an earlier
    checkpoint is removed: if they hold NaN or infinity, the training stops
    on all processes, and the checkpoints stay. A training that is resumed
    with another schedule continues by the epochs that are done, see
    :func:`soco_mm.engine.resume.resume_by_progress`.

    Args:
        every (str | float, optional): Time between two checkpoints, such as
            ``30s``, ``10min`` or ``1h``, see :class:`CheckpointTimes`; None for
            those of whole epochs only. Defaults to ``10min``.
        **kwargs: Arguments of :class:`mmengine.hooks.CheckpointHook` except
            ``out_dir`` and ``backend_args``.

    Raises:
        UsageError: If ``every`` is no length of time.
    """

    TIMES = CheckpointTimes

    def __init__(self, every: str | float | None = '10min', **kwargs) -> None:
        super().__init__(
            backend_args=dict(backend='soco_mm.AtomicLocalBackend'), **kwargs
        )
        self.every = None if every is None else read_duration(every)

    def before_train(self, runner) -> None:
        """Prepare the folder, and remove what a kill has left there."""
        super().before_train(runner)
        self.failures = 0  # in a row
        folder = Path(runner.work_dir) / CHECKPOINT_DIR
        if is_main_process():
            folder.mkdir(parents=True, exist_ok=True)
            for partial in folder.glob('*' + PARTIAL):
                partial.unlink()
        # Given as an argument, MMEngine would append the work dir's name.
        self.out_dir = str(folder)
        loop = runner.train_loop
        self.within_epochs = isinstance(loop, EpochTrainLoop) and loop.resumable
        self.owed, self.times = False, None
        if self.every is not None and self.by_epoch and self.within_epochs:
            self.times = self.TIMES(self.every)
            self.agreement = RegularAgreement(min(5, self.every))

    def after_train_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Save a checkpoint within an epoch if it is due.

        Gradients are not saved: it waits until the optimiser makes a step.
        """
        self.owed |= not self.by_epoch and self.every_n_train_iters(
            runner, self.interval, self.save_begin
        )
        wrapper = runner.optim_wrapper
        if isinstance(wrapper, OptimWrapper) and not wrapper.should_update():
            return
        if self.times:
            save = self.agreement.any(self.times.due) and not self._is_epoch_next(
                runner, batch_idx
            )
        else:
            save = self.owed or (
                not self.by_epoch and self.save_last and self.is_last_train_iter(runner)
            )
        if save:
            self.save_within_epoch(runner, batch_idx)

    def save_within_epoch(self, runner, batch_idx: int) -> None:
        """Save a checkpoint after an iteration with a step of the optimiser.

        All processes call it together.

        Args:
            runner (Runner): The runner.
            batch_idx (int): The iteration of the epoch, from 0.
        """
        for hook in runner.hooks:
            if isinstance(hook, DeferredRuntimeInfoHook):
                hook.flush(runner, batch_idx)
        self.owed = False
        if self.by_epoch:
            self._save_iteration(runner, runner.iter + 1)
        else:
            self._save_checkpoint(runner)

    def _is_epoch_next(self, runner, batch_idx: int) -> bool:
        """Whether the checkpoint of a whole epoch follows this iteration."""
        if batch_idx + 1 < len(runner.train_dataloader):
            return False
        return self.every_n_epochs(runner, self.interval, self.save_begin) or (
            self.save_last and self.is_last_train_epoch(runner)
        )

    def _save_checkpoint(self, runner) -> None:
        """Save a checkpoint; at the end of a training also within an epoch."""
        if self.by_epoch and self.within_epochs and runner.iter % iterations_of(runner):
            self._save_iteration(runner, runner.iter)
        else:
            super()._save_checkpoint(runner)

    def _save_iteration(self, runner, done: int) -> None:
        """Save ``iter_N.pth``.

        Args:
            runner (Runner): The runner.
            done (int): How many iterations are done.
        """
        name = ITERATION.format(done)
        meta = dict(epoch=runner.epoch, iter=done)
        self.last_ckpt = str(Path(self.out_dir, name))
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        written, error = self._save(
            runner,
            done,
            runner.save_checkpoint,
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            backend_args=self.backend_args,
        )
        if not written:
            self._report(runner, error, fatal=done >= runner.max_iters)

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        """Save a checkpoint, and remove the oldest if there are too many.

        The only one is removed after there is another.
        """
        kept = self.keep_ckpt_ids if self.max_keep_ckpts > 0 else deque()
        only = None
        if self.max_keep_ckpts == 1 and kept and kept[0] != step:
            only = kept.popleft()
        save = super()._save_checkpoint_with_step
        written, error = self._save(runner, meta['iter'], save, runner, step, meta)
        if written:
            if only is not None and is_main_process():
                name = self.filename_tmpl.format(only)
                Path(self.out_dir, name).unlink(missing_ok=True)
            return
        if step in kept:
            kept.remove(step)
        if only is not None:
            kept.append(only)
        self._report(runner, error, fatal=meta['iter'] >= runner.max_iters)

    def _save(
        self, runner, done: int, save: Callable, *args, **kwargs
    ) -> tuple[bool, NotWritten | None]:
        """Save a checkpoint, and remove the one within an epoch before it.

        Args:
            runner (Runner): The runner.
            done (int): How many iterations are done.
            save (Callable): Called with the other arguments; it writes
                ``last_ckpt``.
            *args: Its arguments.
            **kwargs: Its arguments by name.

        Returns:
            tuple[bool, NotWritten | None]: Whether all processes did; the error
            of this one.
        """
        start = time.monotonic()
        self.check_finite(runner, done)
        error = self._try_to_save(save, *args, **kwargs)
        seconds = time.monotonic() - start
        if self.times:
            self.times.written(seconds)
        # MMEngine would take it for waiting for the next batch.
        for hook in runner.hooks:
            if isinstance(hook, IterTimerHook) and hasattr(hook, 't'):
                hook.t += seconds
        if any_process(error is not None):
            return False, error
        self.failures = 0
        if self.by_epoch and is_main_process():
            for path in numbered(runner.work_dir, ITERATION).values():
                if path != Path(self.last_ckpt):
                    path.unlink(missing_ok=True)
        return True, None

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        """Save the best checkpoint, then remove the one before it."""
        if not self.save_best:
            return
        self.check_finite(runner, runner.iter)
        single, hub = len(self.key_indicators) == 1, runner.message_hub.runtime_info
        # MMEngine removes what it knows before it writes.
        if single:
            self.best_ckpt_path = None
        else:
            self.best_ckpt_path_dict = dict.fromkeys(self.key_indicators)
        error = self._try_to_save(super()._save_best_checkpoint, runner, metrics)
        if any_process(error is not None):
            self._report(runner, error, fatal=True)
        for key in self.key_indicators:
            best = hub.get('best_ckpt' if single else f'best_ckpt_{key}')
            if single:
                self.best_ckpt_path = best
            else:
                self.best_ckpt_path_dict[key] = best
            if best and is_main_process():
                name = f'best_{key}_'.replace('/', '_') + self.filename_tmpl.format('*')
                for path in Path(self.out_dir).glob(name):
                    if path.name != Path(best).name:
                        path.unlink(missing_ok=True)

    @staticmethod
    def _try_to_save(save: Callable, *args, **kwargs) -> NotWritten | None:
        """Save a checkpoint; the error if it cannot be written."""
        try:
            save(*args, **kwargs)
        except NotWritten as error:
            return error
        except OSError:
            pass  # the text file last_checkpoint, which nothing here reads
        return None

    def _report(self, runner, error: NotWritten | None, fatal: bool) -> None:
        """Say on all processes what one could not write.

        Raises:
            SoCoError: If the training cannot go on.
        """
        self.failures += 1
        said = str(error) if error else 'Another process could not write a checkpoint'
        try:
            report_unwritten(
                said,
                latest_checkpoint(runner.work_dir),
                fatal or self.failures >= MOST_FAILURES,
            )
        except SoCoError as stop:
            stop.silent = error is None
            raise

    def check_finite(self, runner, done: int) -> None:
        """Stop if weights are not finite; at most once per iteration.

        Args:
            runner (Runner): The runner.
            done (int): How many iterations are done.

        Raises:
            SoCoError: If so.
        """
        if getattr(self, 'checked', None) == done:
            return
        wrong = non_finite(
            dict(
                model=unwrap_model(runner.model).state_dict(),
                optimizer=runner.optim_wrapper.state_dict().get('state', {}),
            )
        )
        if any_process(bool(wrong)):
            where = wrong[0] if wrong else 'those of another process'
            rates = next(iter(runner.optim_wrapper.get_lr().values()))
            error = SoCoError(
                'The weights are not finite (NaN or infinity in '
                f'{where.removeprefix("model.")}) after iteration '
                f'{done}, at epoch {ceil(done / iterations_of(runner))} and a '
                f'learning rate of {rates[0]:.4g}. The training is stopped. '
                f'{last_healthy(runner.work_dir)}{keep_step(runner, None)}'
            )
            error.silent = get_rank() != 0
            raise error
        self.checked = done

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Note the schedule; histories become lists, NumPy's numbers plain.

        The schedule is what :func:`resume_by_progress` compares.
        """
        checkpoint['meta'][NOTED] = describe_training(runner)
        hub = checkpoint.get('message_hub')
        if hub is not None:
            hub['runtime_info'] = {
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in hub['runtime_info'].items()
            }
            hub['log_scalars'] = {
                name: [values.tolist() for values in buffer.data]
                for name, buffer in hub['log_scalars'].items()
            }

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Restore the histories of the scalars."""
        hub = checkpoint.get('message_hub')
        if hub is not None:
            hub['log_scalars'] = {
                name: HistoryBuffer(*values)
                for name, values in hub['log_scalars'].items()
                if isinstance(values, list)
            }
        if runner._resume and not runner._has_loaded:
            resume_by_progress(runner, checkpoint)
