from .hooks import AtomicCheckpointHook, TargetUpdateHook
from .optim_wrappers import CPUAmpOptimWrapper
from .optimizers import LARS
from .runtime import adapt_to_device, unwrap_model

__all__ = [
    'AtomicCheckpointHook', 'TargetUpdateHook', 'CPUAmpOptimWrapper', 'LARS',
    'adapt_to_device', 'unwrap_model'
]
