import time
from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from soco_mm.utils import write_json

from ..timeline import (
    CHECKPOINTS,
    OTHER,
    STARTING,
    STATES,
    STEPS,
    TIMELINE,
    WAITING,
    read_timeline,
)


class TimelineHook(Hook):
    """Write where the time of a training goes to ``WORK_DIR/timeline.json``.

    A process is always in one of the states of :mod:`soco_mm.engine.timeline`;
    a few readings of the clock a step tell how long. The file has one entry a
    process, and is written again after each checkpoint, every ``INTERVAL``
    seconds and at the end, so that a kill hides no more than that. The first
    process writes.
    """

    # After all others: what they do after a step is part of it.
    priority = 'LOWEST'
    INTERVAL = 10.0  # seconds

    def before_run(self, runner) -> None:
        """Start the clock."""
        self.path = Path(runner.work_dir, TIMELINE) if is_main_process() else None
        self.earlier: list = []
        self.seconds = dict.fromkeys(STATES, 0.0)
        self.state, self.mark = STARTING, time.monotonic()
        self.start, self.written, self.first = time.time(), 0.0, 0

    def before_train(self, runner) -> None:
        """Note where the training goes on."""
        self.first = runner.iter
        self.earlier = read_timeline(runner.work_dir)  # renumbered, if resumed so
        self._enter(STARTING)
        self._write(runner)

    def before_train_epoch(self, runner) -> None:
        """The first batch is awaited."""
        self._enter(WAITING)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """A batch has come."""
        self._enter(STEPS)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """A step is done; the next batch is awaited, unless the epoch ends."""
        ends = batch_idx + 1 == len(runner.train_dataloader)
        saved = self.state == CHECKPOINTS
        self._enter(OTHER if ends else WAITING)
        if saved or self.mark - self.written >= self.INTERVAL:
            self._write(runner, done=1)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """A checkpoint is written, until the other hooks have been called."""
        self._enter(CHECKPOINTS)

    def after_train_epoch(self, runner) -> None:
        """An epoch has ended."""
        saved = self.state == CHECKPOINTS
        self._enter(OTHER)
        if saved:
            self._write(runner)

    def before_val_epoch(self, runner) -> None:
        """An evaluation begins."""
        self._enter(OTHER)

    def after_train(self, runner) -> None:
        """The training has ended."""
        self._enter(OTHER)
        self._write(runner, finished=True)

    def _enter(self, state: str) -> None:
        """Count the time since the last change, and change the state."""
        now = time.monotonic()
        self.seconds[self.state] += now - self.mark
        self.state, self.mark = state, now

    def _write(self, runner, done: int = 0, finished: bool = False) -> None:
        """Write the file; ``done`` steps are not yet in the runner's number."""
        # A finished training that is resumed does nothing.
        if self.path is None or self.first >= runner.max_iters:
            return
        self.written = self.mark
        own = dict(
            start=self.start,
            end=time.time(),
            first=self.first,
            last=runner.iter + done,
            finished=finished,
            seconds=self.seconds,
        )
        try:
            write_json(self.path, dict(version=1, processes=[*self.earlier, own]))
        except OSError:  # a full disk: the training goes on without it
            pass
