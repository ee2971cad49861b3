from math import ceil

from mmengine.hooks import Hook

from soco_mm.registry import HOOKS

from ..resume import SKIPPED
from ..runtime import unwrap_model
from .amp_hooks import StepWatch


@HOOKS.register_module()
class TargetUpdateHook(Hook):
    """Update the target network after each optimiser step.

    The model has ``reset_target()`` and ``update_target(step, max_steps)``.
    Steps are those of the optimiser: with gradient accumulation, iterations
    that only gather gradients are not counted, so that the momentum's
    schedule does not depend on it; nor are steps that the gradient scaler of
    float16 skips.
    """

    # Before the hooks that save checkpoints.
    priority = 'NORMAL'

    def before_train(self, runner) -> None:
        """Start with equal networks, whatever weights were loaded."""
        if runner.iter == 0:
            unwrap_model(runner.model).reset_target()
        self.watch = StepWatch(runner.optim_wrapper.optimizer)

    def after_train_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Update the target network if the optimiser made a step."""
        if not runner.optim_wrapper.should_update():
            return
        skipped = runner.message_hub.runtime_info.get(SKIPPED, 0)
        if not self.watch.pop():
            runner.message_hub.update_info(SKIPPED, skipped + 1)
            return
        per_step = runner.optim_wrapper._accumulative_counts
        unwrap_model(runner.model).update_target(
            step=ceil((runner.iter + 1) / per_step) - skipped,
            max_steps=ceil(runner.max_iters / per_step),
        )

    def after_train(self, runner) -> None:
        """Stop watching the optimiser."""
        self.watch.handle.remove()
