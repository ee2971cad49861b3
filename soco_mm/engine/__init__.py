from .hooks import AtomicCheckpointHook, TargetUpdateHook
from .optim_wrappers import CPUAmpOptimWrapper
from .optimizers import LARS, OnlineOptimWrapperConstructor
from .runtime import adapt_to_device, unwrap_model

__all__ = [
    'AtomicCheckpointHook', 'TargetUpdateHook', 'CPUAmpOptimWrapper', 'LARS',
    'OnlineOptimWrapperConstructor', 'adapt_to_device', 'unwrap_model'
]
