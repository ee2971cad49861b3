from pathlib import Path

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from soco_mm.models import SoCo
from soco_mm.registry import HOOKS
from soco_mm.utils import UsageError, write_json

from ..object_metrics import (
    NUM_IMAGES,
    make_annotated_samples,
    make_samples,
    measure_classes,
    measure_objects,
)
from ..quiet_log import tell
from ..retrieval import RETRIEVAL, read_retrieval
from ..rpn_recall import measure_rpn
from ..runtime import unwrap_model


@HOOKS.register_module()
class ObjectMetricsHook(Hook):
    """Measure before and after a training how well objects are told apart.

    ``WORK_DIR/retrieval.json`` holds what :func:`measure_objects` returns, under
    ``before`` and ``after``, and with ``interval`` under ``during``, a list whose
    entries also have their ``epoch`` and ``iter``. A resumed training keeps what
    was measured until then. The first process measures, and only models and data
    sets of this plugin; the training does not change.

    Args:
        ann (str, optional): Annotations of some of the images, which are
            measured too, see :func:`measure_classes`. Defaults to None, none.
        interval (int, optional): Also measure after every so many epochs.
            Defaults to None, never.
        num_images (int): How many images are measured. Defaults to 64.
    """

    priority = 'LOWEST'

    def __init__(
        self,
        ann: str | None = None,
        interval: int | None = None,
        num_images: int = NUM_IMAGES,
    ) -> None:
        self.ann = ann
        self.interval = interval
        self.num_images = num_images

    def before_train(self, runner) -> None:
        """Measure the model as the training starts, unless it is resumed."""
        if runner.iter == 0 and (figures := self._measure(runner)):
            self._write(runner, dict(before=figures))
        elif runner.iter and runner.iter < runner.max_iters and is_main_process():
            known = read_retrieval(runner.work_dir)
            if known.pop('after', None):  # it becomes longer
                self._write(runner, known)

    def after_train_epoch(self, runner) -> None:
        """Measure the model between two epochs, if that is due."""
        if self.interval is None or not self.every_n_epochs(runner, self.interval):
            return
        if runner.epoch + 1 == runner.max_epochs or not (
            figures := self._measure(runner)
        ):
            return
        known = read_retrieval(runner.work_dir)
        done = dict(epoch=runner.epoch + 1, iter=runner.iter)
        # A training that was killed and resumed does some epochs twice.
        earlier = [
            each for each in known.get('during', ()) if each['iter'] < runner.iter
        ]
        self._write(runner, {**known, 'during': [*earlier, done | figures]})

    def after_train(self, runner) -> None:
        """Measure the trained model."""
        if figures := self._measure(runner):
            self._write(runner, {**read_retrieval(runner.work_dir), 'after': figures})

    def _write(self, runner, figures: dict) -> None:
        """Write the figures of the run."""
        write_json(Path(runner.work_dir, RETRIEVAL), figures)

    def _measure(self, runner) -> dict:
        """The figures of this moment; empty where nothing is measured."""
        model = unwrap_model(runner.model)
        if not is_main_process() or not isinstance(model, SoCo):
            return {}
        if not hasattr(self, 'samples'):
            self.samples = make_samples(runner.cfg, self.num_images)
            self.annotated = self._annotated_samples(runner.cfg)
        if len(self.samples) < 2:
            return {}
        figures = measure_objects(model, self.samples)
        labels = {int(each) for one in self.annotated for each in one['labels']}
        if len(self.annotated) > 1 and len(labels - {-1}) > 1:
            found = measure_classes(model, self.annotated)
            if found['classes']:  # some class has two objects
                figures['annotated'] = found
        if getattr(model, 'rpn_head', None) is not None:
            figures['rpn'] = measure_rpn(model, runner.cfg, self.annotated)
        return figures

    def _annotated_samples(self, cfg: Config) -> list:
        """Annotated images of the training, empty if there are none."""
        if self.ann is None:
            return []
        try:
            return make_annotated_samples(cfg, self.ann, self.num_images)
        except UsageError as error:
            tell(f'Annotated objects are not measured: {error}')
            return []
