from contextlib import contextmanager

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from torch import nn

from soco_mm.registry import OPTIM_WRAPPERS


# The second name is in configs of earlier runs.
@OPTIM_WRAPPERS.register_module(name=['BFloat16OptimWrapper', 'CPUAmpOptimWrapper'])
class BFloat16OptimWrapper(OptimWrapper):
    """Mixed precision in bfloat16, on a GPU or a CPU.

    It has the range of float32, so that gradients are not scaled and no step is
    skipped; ``AmpOptimWrapper`` of MMEngine has a ``GradScaler`` all the same.

    Attributes:
        norm (Tensor, optional): Of the gradients before they were clipped, where
            they are. MMEngine reads it at once, and waits for the GPU in each step;
            :class:`DeferredRuntimeInfoHook` takes it from here.
    """

    norm: torch.Tensor | None = None

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Run the forward pass under autocast."""
        device = get_device()
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield

    def _clip_grad(self) -> None:
        """Clip the gradients of parameters."""
        params = [
            each
            for group in self.optimizer.param_groups
            for each in group['params']
            if each.requires_grad and each.grad is not None
        ]
        if params:
            self.norm = self.clip_func(params, **self.clip_grad_kwargs)
