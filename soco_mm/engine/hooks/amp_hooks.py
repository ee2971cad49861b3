"""Schedules and averages count the steps that the optimiser makes."""

from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import OptimWrapper
from torch.optim import Optimizer

from soco_mm.registry import HOOKS


class StepWatch:
    """Tells whether an optimiser has made a step.

    In float16 PyTorch's gradient scaler skips a step whose gradients
    overflow. It checks this before it calls the optimiser, so the call itself
    says that a step is made, without waiting for the device once more. A
    fused optimiser is always called, and skips the step on the device; then
    the flag that it was given is read.

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
    """MMEngine's hook, which counts only the steps that the optimiser makes.

    With gradient accumulation the learning rate stays for all iterations of a
    step, see :func:`soco_mm.engine.schedules.count_optimizer_steps`. After a step
    that the gradient scaler skips, the next one has its learning rate. Schedules
    that count epochs are as MMEngine's.
    """

    counts_steps = True

    def before_train(self, runner) -> None:
        """Watch the optimiser."""
        self.watch = None
        if isinstance(runner.optim_wrapper, OptimWrapper):
            self.watch = StepWatch(runner.optim_wrapper.optimizer)

    def after_train_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Step the schedules if the optimiser made a step."""
        if self.watch and not self.watch.pop():
            return
        super().after_train_iter(runner, batch_idx, data_batch, outputs)

    def after_train(self, runner) -> None:
        """Stop watching the optimiser."""
        if self.watch:
            self.watch.handle.remove()
