"""Steps that a gradient scaler skips."""

from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import OptimWrapper
from torch.optim import Optimizer

from soco_mm.registry import HOOKS


class StepWatch:
    """Tells whether an optimiser has made a step.

    In float16 PyTorch's gradient scaler skips a step whose gradients
    overflow. It reads whether they do before it calls the optimiser, so that
    being called tells it without waiting for the device once more. A fused
    optimiser is always called, and skips the step on the device; there the
    flag that it was given is read.

    Args:
        optimizer (Optimizer): The optimiser.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.made = False
        self.handle = optimizer.register_step_post_hook(self._note)

    def _note(self, optimizer: Optimizer, args, kwargs) -> None:
        overflow = getattr(optimizer, 'found_inf', None)
        self.made = overflow is None or not overflow.item()

    def pop(self) -> bool:
        """Whether a step was made since the last call."""
        made, self.made = self.made, False
        return made


@HOOKS.register_module()
class AmpParamSchedulerHook(ParamSchedulerHook):
    """MMEngine's hook, for which a skipped step is no step.

    Schedules that count iterations stand still for as many iterations as a
    step of the optimiser takes, so that the next step has the learning rate
    of the one that was skipped. Schedules that count epochs go on.
    """

    def before_train(self, runner) -> None:
        """Watch the optimiser."""
        self.watch, self.owed = None, 0
        if isinstance(runner.optim_wrapper, OptimWrapper):
            self.watch = StepWatch(runner.optim_wrapper.optimizer)

    def after_train_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Step the schedules, unless the optimiser did not."""
        wrapper = runner.optim_wrapper
        if self.watch and wrapper.should_update() and not self.watch.pop():
            self.owed += wrapper._accumulative_counts
        if self.owed:
            self.owed -= 1
            return
        super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_train(self, runner) -> None:
        """Leave the optimiser alone again."""
        if self.watch:
            self.watch.handle.remove()
