from pathlib import Path

from mmengine.dist import is_main_process
from mmengine.hooks import Hook

from soco_mm.models import SoCo
from soco_mm.registry import HOOKS
from soco_mm.utils import write_json

from ..object_metrics import make_samples, measure_objects
from ..retrieval import RETRIEVAL, read_retrieval
from ..runtime import unwrap_model


@HOOKS.register_module()
class ObjectMetricsHook(Hook):
    """Measure before and after a training how well objects are told apart.

    ``WORK_DIR/retrieval.json`` holds what :func:`measure_objects` returns, under
    ``before`` and ``after``. A resumed training keeps the former. The first
    process measures, and only models and data sets of this plugin; the
    training does not change.
    """

    priority = 'LOWEST'

    def before_train(self, runner) -> None:
        """Measure the model as the training starts, unless it is resumed."""
        if runner.iter == 0:
            self._measure(runner, 'before', {})

    def after_train(self, runner) -> None:
        """Measure the trained model."""
        self._measure(runner, 'after', read_retrieval(runner.work_dir))

    def _measure(self, runner, moment: str, known: dict) -> None:
        """Add the figures of one moment to the file."""
        model = unwrap_model(runner.model)
        if not is_main_process() or not isinstance(model, SoCo):
            return
        if not hasattr(self, 'samples'):
            self.samples = make_samples(runner.cfg)
        if len(self.samples) < 2:
            return
        figures = measure_objects(model, self.samples)
        write_json(Path(runner.work_dir, RETRIEVAL), {**known, moment: figures})
