import time
from collections.abc import Iterator
from logging import WARNING
from math import ceil, nan
from typing import Any

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from soco_mm.models import SoCo
from soco_mm.models.utils.health_figures import (
    BoxCount,
    FeatureWatch,
    movement,
    weight_samples,
)
from soco_mm.registry import HOOKS
from soco_mm.utils.files import finite_or_none

from ..disk import SayOnce
from ..health import HEALTH, read_health, write_health
from ..health_verdicts import NOT_FINITE, judge
from ..loops import accumulation_of
from ..quiet_log import tell
from ..resume import SKIPPED
from ..runtime import unwrap_model

# Weights at the start of the run, in the message hub and so in checkpoints.
START = 'health_start'
MOST_ROWS = 1000


@HOOKS.register_module()
class TrainingHealthHook(Hook):
    """Watch whether a SoCo training learns, and say it when something is wrong.

    Figures and verdicts are in ``WORK_DIR/health.json``, see
    :mod:`soco_mm.engine.health`; visualizers such as TensorBoard get the former as
    ``health/...``. A sentence is shown once when it becomes true, and again after
    the training.

    What is measured is of the step that is made anyway; the first process measures
    its own batch. The training does not change, bit for bit, and waits for the
    device only where figures are taken. Other models are not watched.

    Args:
        interval (int): Iterations between two rows of figures; in a short run a
            tenth of it, in a long one a thousandth. The first and the last one have
            a row too. Defaults to 50.
    """

    # After the target network's update, before checkpoints are saved.
    priority = 'BELOW_NORMAL'

    def __init__(self, interval: int = 50) -> None:
        self.interval = interval
        self.watch: FeatureWatch | None = None
        self.boxes: BoxCount | None = None

    def before_train(self, runner) -> None:
        """Keep what the weights start from; of a resumed run, rows until here."""
        model = unwrap_model(runner.model)
        if not is_main_process() or not isinstance(model, SoCo):
            return
        # The file is written with each row: thousands of them would take hours.
        least, most = ceil(runner.max_iters / MOST_ROWS), runner.max_iters // 10
        self.every = max(least, min(self.interval, most))
        self.per_step = accumulation_of(runner.optim_wrapper)
        self.boxes = BoxCount(model.roi_head.bbox_roi_extractor)
        self.waited = self.passed = 0.0
        self.since: float | None = None  # of what is not a step
        self.unwritten = SayOnce(f'{runner.work_dir}/{HEALTH}')
        known = read_health(runner.work_dir) if runner.iter else {}
        self.rows, self.verdicts = (
            [each for each in known.get(name, ()) if each['iter'] <= runner.iter]
            for name in ('rows', 'verdicts')
        )
        start = runner.message_hub.runtime_info.get(START) if runner.iter else None
        now = weight_samples(model)
        if start is None or len(start) != len(now):
            runner.message_hub.update_info(START, now)

    def before_train_epoch(self, runner) -> None:
        """What is done between two epochs, such as checkpoints, is no waiting."""
        if self.boxes is not None and self.since is not None:
            self.since = time.perf_counter()

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Watch the features of a step whose figures are taken."""
        if self.boxes is None:
            return
        if self.since is not None:  # not while workers start
            self.waited += time.perf_counter() - self.since
        if self._is_due(runner):
            self.watch = FeatureWatch(unwrap_model(runner.model))

    def after_train_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Count boxes and time; take the figures if they are due."""
        if self.boxes is None or data_batch is None:
            return
        if self.since is not None:
            self.passed += time.perf_counter() - self.since
        self.boxes.add(data_batch['boxes'], data_batch['valid'])
        if self.watch is not None:
            watch, self.watch = self.watch, None
            watch.close()
            self._take(runner, watch.measure(data_batch['valid']), outputs or {})
        self.since = time.perf_counter()

    def after_not_finite(self, runner, done: int) -> None:
        """Say that the loss of an iteration is not finite, which ends the training.

        Args:
            runner (Runner): The runner.
            done (int): Iterations until then.
        """
        if self.boxes is not None:
            self._conclude(runner, [dict(NOT_FINITE, iter=done)], say=False)

    def after_train(self, runner) -> None:
        """Say again what was wrong."""
        for each in self.verdicts if self.boxes is not None else ():
            step = each['iter'] // self.per_step
            tell(f'Health, since step {step}: {each["sentence"]}', WARNING)

    def _is_due(self, runner) -> bool:
        """Whether figures are taken of the iteration that begins."""
        done = runner.iter + 1
        return done in (1, runner.max_iters) or done % self.every == 0

    def _take(self, runner, features: dict[str, Any], outputs: dict) -> None:
        """Add a row of figures, and judge them."""
        model = unwrap_model(runner.model)
        hub, done = runner.message_hub, runner.iter + 1
        loss, floor = (
            float(torch.as_tensor(outputs.get(name, nan)).detach())
            for name in ('loss', 'loss_floor')
        )
        row = dict(
            iter=done,
            **features,
            loss=loss,
            loss_over_floor=loss - floor,
            **movement(model, hub.get_info(START)),
            **self.boxes.pop(),
            target_momentum=model.target_net.momentum_at(
                int(model.target_net.steps) + 1, ceil(runner.max_iters / self.per_step)
            ),
            waiting_share=self.waited / self.passed if self.passed else nan,
            learning_rate=next(iter(runner.optim_wrapper.get_lr().values()))[0],
            skipped_share=hub.runtime_info.get(SKIPPED, 0)
            / max(1, done // self.per_step),
        )
        self.waited = self.passed = 0.0
        self.rows.append(row := finite_or_none(row))
        runner.visualizer.add_scalars(dict(flat('health', row)), step=done)
        self._conclude(runner, judge(self.rows, runner.max_iters, self.per_step))

    def _conclude(self, runner, verdicts: list[dict], say: bool = True) -> None:
        """Say the verdicts that are new, and write the file."""
        known = {each['name'] for each in self.verdicts}
        for each in verdicts:
            if each['name'] not in known:
                self.verdicts.append(each)
                if say:
                    step = each['iter'] // self.per_step
                    tell(f'Step {step}: {each["sentence"]}', WARNING)
        try:
            write_health(runner.work_dir, self.every, self.rows, self.verdicts)
        except OSError:
            self.unwritten()


def flat(name: str, value: Any) -> Iterator[tuple[str, float]]:
    """Numbers in nested dictionaries by their path.

    Example:
        >>> from soco_mm.engine.hooks.training_health_hook import flat
        >>> dict(flat('health', dict(rank=3.0, moved=dict(neck=0.5), unknown=None)))
        {'health/rank': 3.0, 'health/moved/neck': 0.5}
    """
    if isinstance(value, dict):
        for key, each in value.items():
            yield from flat(f'{name}/{key}', each)
    elif value is not None:
        yield name, value
