from contextlib import contextmanager

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from soco_mm.registry import OPTIM_WRAPPERS


@OPTIM_WRAPPERS.register_module()
class CPUAmpOptimWrapper(OptimWrapper):
    """Mixed precision on the CPU: bfloat16, which needs no loss scaling.

    ``AmpOptimWrapper`` of MMEngine refuses to run without an accelerator.
    """

    @contextmanager
    def optim_context(self, model: nn.Module):
        """Run the forward pass under autocast."""
        with super().optim_context(model), torch.autocast('cpu', torch.bfloat16):
            yield
