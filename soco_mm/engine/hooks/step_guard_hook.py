import math
from collections import deque
from itertools import islice
from pathlib import Path

import torch
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import Hook
from torch import Tensor, nn

from soco_mm.checkpoint.io import write_checkpoint
from soco_mm.datasets import EpochSampler, ObjectViewDataset
from soco_mm.datasets.replaced import REPLACED
from soco_mm.utils import UsageError

from ..loops import iterations_of, log_interval
from ..processes import first_of
from ..quiet_log import tell
from ..random_states import random_states
from ..runtime import unwrap_model

FOLDER = 'not_finite'
FORMAT = 1


class StepGuardHook(Hook):
    """Keep the weights before the step in which NaN or infinity first appears.

    They are copied before every step, until the loss of one, or the weights
    after it, are not finite. That is decided on the device, so that no step
    waits for it. When the training is stopped, the step is written to
    ``WORK_DIR/not_finite`` for ``soco-mm replay``.

    It takes the memory of the weights once more, and in each step the time to
    read them twice and to write them once.
    """

    # After hooks that change weights, and before checkpoints are saved.
    priority = 'LOW'

    def before_train(self, runner) -> None:
        """Make room for the copy of what changes."""
        self.watched = weights_that_change(unwrap_model(runner.model))
        self.kept = [value.detach().clone() for value in self.watched.values()]
        device = self.kept[0].device
        self.going = torch.tensor(True, device=device)
        self.finite = torch.ones(len(self.kept), dtype=torch.bool, device=device)
        self.step = torch.tensor(runner.iter, device=device)
        # Losses are read that often.
        self.random: deque = deque(maxlen=log_interval(runner) + 2)
        self.batch: tuple = (None, None)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Copy the weights."""
        self.keep(runner.iter)
        self.random.append((runner.iter, random_states()))
        self.batch = runner.iter, data_batch

    @torch.no_grad()
    def keep(self, iteration: int) -> None:
        """Copy the weights, unless something was not finite before.

        Args:
            iteration (int): The iteration that follows, from 0.
        """
        weights = [value.detach() for value in self.watched.values()]
        # Ten times as fast on a CPU as the infinity norm, in the order of memory.
        if self.going.is_cpu:
            flat = [value.as_strided((value.numel(),), (1,)) for value in weights]
            ends = [torch.stack(value.aminmax()) for value in flat]
        else:
            ends = torch._foreach_norm(weights, math.inf)
        finite = torch.isfinite(torch.stack(ends)).view(len(weights), -1).all(1)
        self.finite = torch.where(self.going, finite, self.finite)
        self.going = self.going & finite.all()
        if self.going.is_cpu:  # where nothing needs to be waited for
            if self.going:
                torch._foreach_copy_(self.kept, weights)
        else:
            for kept, now in zip(self.kept, weights):
                torch.where(self.going, now, kept, out=kept)
        self.step = torch.where(self.going, iteration, self.step)

    def after_train_iter(
        self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None
    ) -> None:
        """Look at the loss."""
        if isinstance(loss := (outputs or {}).get('loss'), Tensor):
            self.going = self.going & torch.isfinite(loss.detach())

    def write(self, runner, is_here: bool | None) -> str:
        """Write the step; called on all processes when a training is stopped.

        Args:
            runner (Runner): The runner.
            is_here (bool, optional): Whether a loss of this process was not
                finite; the first such process writes. None after a step, if
                weights are not: then the first of all does.

        Returns:
            str: What to do with the file; empty if there is none.
        """
        if is_here is None:
            self.keep(runner.iter)
        writer = first_of(get_rank() if is_here else math.inf)
        path = None
        if get_rank() == (0 if writer == math.inf else writer):
            path = self._write(runner)
        found = [each for each in all_gather_object(path) if each]
        return f' Find out where it begins: soco-mm replay {found[0]}' if found else ''

    def _write(self, runner) -> str | None:
        """Write the step of this process; the file, None if it cannot be."""
        step = int(self.step)
        batch = self._batch_of(runner, step)
        random = dict(self.random).get(step)
        if batch is None or random is None:
            return None
        model = unwrap_model(runner.model)
        state = {name: value.cpu() for name, value in model.state_dict().items()}
        state.update(
            (name, value.cpu()) for name, value in zip(self.watched, self.kept)
        )
        path = Path(runner.work_dir, FOLDER, f'iter_{step + 1}.pth')
        content = dict(
            soco_mm_step=FORMAT,
            iteration=step + 1,
            epoch=step // iterations_of(runner) + 1,
            process=(get_rank(), get_world_size()),
            lr=next(iter(runner.optim_wrapper.get_lr().values()))[0],
            autocast=autocast_of(runner, model),
            model=runner.cfg.model.to_dict(),
            state_dict=state,
            batch=batch,
            random=random,
            broken=[
                name for name, ok in zip(self.watched, self.finite.tolist()) if not ok
            ],
        )
        try:
            write_checkpoint(path, content)
        except UsageError as error:
            tell(f'The step is not kept: {error}', 30)
            return None
        return str(path)

    def _batch_of(self, runner, step: int):
        """The batch of an iteration; None if it is gone and cannot be made again."""
        if self.batch[0] == step:
            return self.batch[1]
        loader = runner.train_dataloader
        sampler, dataset = loader.sampler, loader.dataset
        if not (
            isinstance(sampler, EpochSampler) and isinstance(dataset, ObjectViewDataset)
        ):
            return None
        # A sample depends on nothing but its index, which has the epoch in it.
        size = loader.batch_size
        epoch, number = divmod(step, iterations_of(runner))
        sampler.set_epoch(epoch)
        indices = islice(sampler, number * size, (number + 1) * size)
        batch = loader.collate_fn([dataset[index] for index in indices])
        batch.pop(REPLACED, None)
        return batch


def weights_that_change(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that a training changes, by their names."""
    return {
        name: value
        for name, value in model.named_parameters()
        if value.requires_grad or name.startswith('target_net.')
    }


def autocast_of(runner, model) -> str | None:
    """The type of mixed precision, such as ``bfloat16``; None if there is none."""
    device = next(model.parameters()).device.type
    with runner.optim_wrapper.optim_context(model):
        if not torch.is_autocast_enabled(device):
            return None
        return str(torch.get_autocast_dtype(device)).removeprefix('torch.')


def keep_step(runner, is_here: bool | None) -> str:
    """Write the step that stops a training, see :meth:`StepGuardHook.write`."""
    for hook in runner.hooks:
        if isinstance(hook, StepGuardHook):
            return hook.write(runner, is_here)
    return ''
