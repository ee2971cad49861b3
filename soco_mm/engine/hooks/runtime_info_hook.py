import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook

from soco_mm.registry import HOOKS


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's hook, which waits for the device only when it is logged.

    MMEngine reads every loss at every iteration, and each reading waits until
    the GPU has finished. Here the losses stay on the device until the logger
    is due or the epoch ends, and are then read at once.
    """

    def before_train(self, runner) -> None:
        """Find out when the logger is due."""
        super().before_train(runner)
        self.pending = []
        self.interval = min((hook.interval for hook in runner.hooks
                             if isinstance(hook, LoggerHook)),
                            default=1)

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch: dict = None,
                         outputs: dict = None) -> None:
        """Keep the losses of an iteration."""
        self.pending.append(outputs or {})
        last = batch_idx + 1 == len(runner.train_dataloader)
        if not last and (batch_idx + 1) % self.interval:
            return
        for name in self.pending[-1]:
            values = torch.stack([
                torch.as_tensor(outputs[name]).detach().float()
                for outputs in self.pending
            ])
            for value in values.tolist():
                runner.message_hub.update_scalar(f'train/{name}', value)
        self.pending = []
