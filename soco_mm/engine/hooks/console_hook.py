import time

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from soco_mm.log import logger
from soco_mm.utils.live_line import LiveLine, clock, longest_that_fits

from ..loops import StepTrainLoop, accumulation_of, iterations_of


class ConsoleHook(Hook):
    """Show the progress of a training: a live line, and one line per epoch.

    On a terminal the live line is redrawn in place; elsewhere, such as in a
    pipe, a line is written every ``interval`` seconds. The line per epoch is
    a record of the logger ``soco_mm``.

    No step waits for the device but one per second: the loss of the live line
    is read at most that often. On a GPU this costs less than a step in a
    hundred; all other numbers are on the host already.

    Args:
        interval (float): Seconds between two plain lines, up to 60 in a run
            that takes long. Shorter epochs do not get one each. Defaults to 10.
    """

    # After IterTimerHook, and before checkpoints are saved.
    priority = 'LOW'
    REFRESH = 1.0  # seconds

    def __init__(self, interval: float = 10) -> None:
        self.interval = interval
        self.line: LiveLine | None = None
        self.started = self.read = self.written = 0.0

    def before_run(self, runner) -> None:
        """Draw the line, before data and weights are loaded."""
        if is_main_process():
            self.line = LiveLine(['starting'])
            self.started = self.written = time.time()

    def before_train(self, runner) -> None:
        """Say where a resumed training continues."""
        if not self.line:
            return
        if runner.iter:
            logger.info(f'Resumed after {self._position(runner, runner.iter)}')
        self.line.forms = [f'{self._position(runner, runner.iter)}  first step']

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Refresh the line if it is due."""
        now = time.time()
        if not self.line or now - self.read < self.REFRESH:
            return
        self.read = now
        losses = {
            name: float(torch.as_tensor(outputs[name]).detach())
            for name in ('loss', 'loss_floor')
            if outputs and name in outputs
        }
        done = runner.iter + 1
        self.line.forms = self._forms(runner, done, losses)
        due = not self.line.drawn and self._is_due()
        if due and batch_idx + 1 < len(runner.train_dataloader):
            self._write(self.line.forms)

    def after_train_epoch(self, runner) -> None:
        """Write the line of the epoch, with its mean losses."""
        if not self.line:
            return
        last = runner.iter >= runner.max_iters
        if not last and not self._is_due():
            return
        steps = iterations_of(runner)
        scalars = runner.message_hub.log_scalars
        losses = {
            name: scalars[f'train/{name}'].mean(steps)
            for name in ('loss', 'loss_floor')
            if f'train/{name}' in scalars
        }
        self._write(self._forms(runner, runner.iter, losses))

    def after_val_iter(
        self, runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Show how many images are evaluated."""
        if not self.line:
            return
        total = len(runner.val_dataloader.dataset)
        done = min(total, (batch_idx + 1) * batch_size_of(runner.val_dataloader))
        self.line.forms = [f'evaluating {done}/{total} images']
        if not self.line.drawn and self._is_due():
            self._write(self.line.forms)

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Write the metrics of the evaluation."""
        if self.line:
            words = describe_metrics(metrics or {})
            self._write([f'{self._position(runner, runner.iter)}  {words}'])

    def after_run(self, runner) -> None:
        """Remove the live line."""
        self.close()

    def close(self) -> None:
        """Remove the live line, also if a training was stopped."""
        if self.line:
            self.line.stop()
            self.line = None

    def _is_due(self) -> bool:
        """Whether the last plain line is old enough for another one."""
        now = time.time()
        slower = min(60, (now - self.started) / 6)
        return now - self.written >= max(self.interval, slower)

    def _write(self, forms: list[str]) -> None:
        """Write a line that stays, which should not wrap on most terminals."""
        self.written = time.time()
        logger.info(longest_that_fits(forms[:2], 80))

    def _position(self, runner, done: int) -> str:
        """The position of a training after ``done`` iterations, as text."""
        loop, each = runner.train_loop, accumulation_of(runner.optim_wrapper)
        if isinstance(loop, StepTrainLoop):
            return f'step {done // each}/{loop.max_steps}'
        if not isinstance(loop, EpochBasedTrainLoop):
            return f'step {done // each}/{runner.max_iters // each}'
        iterations = iterations_of(runner)
        epoch = max(1, -(-done // iterations))
        words = f'epoch {epoch}/{runner.max_epochs}'
        steps = iterations // each
        step = (done - (epoch - 1) * iterations) // each
        return words if step in (0, steps) else f'{words}  step {step}/{steps}'

    def _forms(self, runner, done: int, losses: dict) -> list[str]:
        """The line after ``done`` iterations, long and short."""
        seconds, waiting = (
            runner.message_hub.get_scalar(f'train/{name}').mean(50)
            for name in ('time', 'data_time')
        )
        images = batch_size_of(runner.train_dataloader) * get_world_size()
        rate = f'{images / seconds:.1f}'
        share = f'{100 * waiting / seconds:.0f} %'
        left = clock(seconds * (runner.max_iters - done))
        where = f'{self._position(runner, done)}  '
        loss = f'loss {losses["loss"]:.3f}' if 'loss' in losses else ''
        if 'loss_floor' in losses:
            over = losses['loss'] - losses['loss_floor']
            long = f'{loss}  {over:.3f} above its floor  '
            short = f'{loss} ({over:.3f} above floor)  '
        else:
            rates = next(iter(runner.optim_wrapper.get_lr().values()), [0.0])
            long = short = f'{loss}  lr {rates[0]:.2g}  '.lstrip()
        return [
            f'{where}{long}{rate} images/s  waiting {share}  {left} left',
            f'{where}{short}{rate} img/s  wait {share}  {left} left',
            f'{where}{short}{rate} img/s  {left} left',
            f'{where}{short}{left} left',
        ]


def batch_size_of(loader: DataLoader) -> int:
    """Images per batch; PyTorch does not record it for a batch sampler."""
    return loader.batch_size or loader.batch_sampler.batch_size


def describe_metrics(metrics: dict) -> str:
    """Metrics as text: AP in percent, others as they are.

    Example:
        >>> from soco_mm.engine.hooks.console_hook import describe_metrics
        >>> describe_metrics({'coco/bbox_mAP': 0.312, 'coco/bbox_mAP_50': 0.5})
        'boxes AP 31.2 AP50 50.0'
        >>> describe_metrics({'accuracy/top1': 71.5})
        'accuracy/top1 71.5'
    """
    parts = []
    for kind, name in (('bbox', 'boxes'), ('segm', 'masks')):
        if f'coco/{kind}_mAP' in metrics:
            found = [
                f'{short} {100 * metrics[key]:.1f}'
                for short, key in (
                    ('AP', f'coco/{kind}_mAP'),
                    ('AP50', f'coco/{kind}_mAP_50'),
                )
                if key in metrics
            ]
            parts.append(' '.join([name, *found]))
    if not parts:
        parts = [f'{name} {value:.4g}' for name, value in metrics.items()]
    return '  '.join(parts) or 'nothing was found'
