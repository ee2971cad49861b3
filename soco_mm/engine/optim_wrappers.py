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
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Run the forward pass under autocast."""
        device = get_device()
        with super().optim_context(model), torch.autocast(device, torch.bfloat16):
            yield
