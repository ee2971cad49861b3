import math

import torch
from mmengine.dist import get_rank
from mmengine.hooks import RuntimeInfoHook

from soco_mm.registry import HOOKS
from soco_mm.utils import SoCoError

from ..checkpoint_files import last_healthy
from ..loops import log_interval
from ..processes import first_of
from .step_guard_hook import keep_step


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's hook, which waits for the device only when losses are logged.

    MMEngine reads every loss at every iteration, and each reading waits until
    the GPU has finished. Here the losses stay on the device until the logger
    is due or the epoch ends, and are then read at once. If one is NaN or
    infinite, on any process, the training is stopped on all of them.
    """

    def before_train(self, runner) -> None:
        """Find out when the logger is due."""
        super().before_train(runner)
        self.pending: list = []
        self.interval = log_interval(runner)

    def after_train_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """Keep the losses of an iteration, and the norm of its gradients."""
        kept, wrapper = dict(outputs or {}), runner.optim_wrapper
        if (norm := getattr(wrapper, 'norm', None)) is not None:
            kept[wrapper.grad_name], wrapper.norm = norm, None
        self.pending.append(kept)
        last = batch_idx + 1 == len(runner.train_dataloader)
        if last or (batch_idx + 1) % self.interval == 0:
            self.flush(runner, batch_idx)

    def flush(self, runner, batch_idx: int) -> None:
        """Read the losses that were kept; all processes call it together.

        Args:
            runner (Runner): The runner.
            batch_idx (int): The last iteration of the epoch, from 0.

        Raises:
            SoCoError: If the loss of one is not finite, on any process.
        """
        pending, self.pending = self.pending, []
        rows: list[dict] = [{} for _ in pending]
        for name in dict.fromkeys(key for each in pending for key in each):
            numbers = [i for i, each in enumerate(pending) if name in each]
            values = torch.stack(
                [torch.as_tensor(pending[i][name]).detach().float() for i in numbers]
            )
            for i, value in zip(numbers, values.tolist()):
                rows[i][name] = value
                runner.message_hub.update_scalar(f'train/{name}', value)
        self.check_losses(runner, batch_idx, rows)

    def check_losses(self, runner, batch_idx: int, rows: list) -> None:
        """Stop a training whose loss is not finite.

        Args:
            runner (Runner): The runner.
            batch_idx (int): The last iteration of the epoch, from 0.
            rows (list[dict]): Outputs of the last iterations, by name.

        Raises:
            SoCoError: If the loss of one is not finite, on any process.
        """
        wrong = [
            i for i, row in enumerate(rows) if not math.isfinite(row.get('loss', 0.0))
        ]
        first = first_of(wrong[0] if wrong else math.inf)
        if math.isinf(first):
            return
        row = rows[first := int(first)]
        done = runner.iter + 2 - len(rows) + first
        runner.call_hook('after_not_finite', done=done)
        parts = ', '.join(
            f'{name} {value:g}'
            for name, value in row.items()
            if 'loss' in name and not math.isfinite(value)
        )
        name = next(iter(runner.optim_wrapper.get_lr()))
        rates, _ = runner.message_hub.get_scalar(f'train/{name}').data
        error = SoCoError(
            f'The loss is not finite ({parts or "on another process"}) at '
            f'epoch {runner.epoch + 1}, iteration '
            f'{batch_idx + 2 - len(rows) + first} of '
            f'{len(runner.train_dataloader)}, learning rate '
            f'{rates[first - len(rows)]:.4g}. The training is stopped. '
            f'{last_healthy(runner.work_dir)}{keep_step(runner, bool(wrong))}'
        )
        error.silent = get_rank() != 0
        raise error
