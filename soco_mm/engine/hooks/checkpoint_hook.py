import re
from collections import deque
from collections.abc import Callable
from math import ceil
from pathlib import Path

import numpy as np
from mmengine.dist import get_rank, is_main_process
from mmengine.fileio import LocalBackend, register_backend
from mmengine.hooks import CheckpointHook
from mmengine.logging import HistoryBuffer

from soco_mm.registry import HOOKS
from soco_mm.utils import PARTIAL, SoCoError, atomic_write
from soco_mm.utils.finite import non_finite

from ..disk import MOST_FAILURES, NotWritten, report_unwritten
from ..processes import any_process
from ..resume import NOTED, describe_training, resume_by_progress
from ..runtime import unwrap_model
from .step_guard_hook import keep_step

CHECKPOINT_DIR = 'checkpoints'


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint of the last finished epoch in a work dir, if any."""
    found = []
    for path in (Path(work_dir) / CHECKPOINT_DIR).glob('epoch_*.pth'):
        number = re.fullmatch(r'epoch_(\d+)\.pth', path.name)
        if number:
            found.append((int(number[1]), path))
    return max(found)[1] if found else None


def last_healthy(work_dir: str | Path) -> str:
    """A sentence on what is left of a training that went wrong."""
    last = latest_checkpoint(work_dir)
    if last is None:
        return 'No checkpoint was written yet. Start again with a lower learning rate.'
    return (
        f'The last healthy checkpoint is kept: {last}. Continue from it with '
        '--resume and a lower learning rate (--cfg-options '
        'optim_wrapper.optimizer.lr=...).'
    )


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

    Weights and the optimiser's state are checked before an earlier
    checkpoint is removed: if they hold NaN or infinity, the training stops
    on all processes, and the checkpoints stay. A training that is resumed
    with another schedule continues by the epochs that are done, see
    :func:`soco_mm.engine.resume.resume_by_progress`.

    Args:
        **kwargs: Arguments of :class:`mmengine.hooks.CheckpointHook` except
            ``out_dir`` and ``backend_args``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(
            backend_args=dict(backend='soco_mm.AtomicLocalBackend'), **kwargs
        )

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

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        """Save a checkpoint, and remove the oldest if there are too many.

        The only one is removed after there is another.
        """
        self.check_finite(runner)
        kept = self.keep_ckpt_ids if self.max_keep_ckpts > 0 else deque()
        only = None
        if self.max_keep_ckpts == 1 and kept and kept[0] != step:
            only = kept.popleft()
        error = self._try_to_save(
            super()._save_checkpoint_with_step, runner, step, meta
        )
        if not any_process(error is not None):
            self.failures = 0
            if only is not None and is_main_process():
                name = self.filename_tmpl.format(only)
                Path(self.out_dir, name).unlink(missing_ok=True)
            return
        if step in kept:
            kept.remove(step)
        if only is not None:
            kept.append(only)
        self._report(runner, error, fatal=meta['iter'] >= runner.max_iters)

    def _save_best_checkpoint(self, runner, metrics: dict) -> None:
        """Save the best checkpoint, and remove the one before it."""
        if not self.save_best:
            return
        self.check_finite(runner)
        error = self._try_to_save(super()._save_best_checkpoint, runner, metrics)
        if any_process(error is not None):
            self._report(runner, error, fatal=True)

    @staticmethod
    def _try_to_save(save: Callable, *args) -> NotWritten | None:
        """Save a checkpoint; the error if it cannot be written."""
        try:
            save(*args)
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

    def check_finite(self, runner) -> None:
        """Stop if weights are not finite; at most once per iteration.

        Raises:
            SoCoError: If so.
        """
        if getattr(self, 'checked', None) == runner.iter:
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
                f'{runner.iter}, at epoch '
                f'{ceil(runner.iter / len(runner.train_dataloader))} and a '
                f'learning rate of {rates[0]:.4g}. The training is stopped. '
                f'{last_healthy(runner.work_dir)}{keep_step(runner, None)}'
            )
            error.silent = get_rank() != 0
            raise error
        self.checked = runner.iter

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
