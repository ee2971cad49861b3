from .hooks import AtomicCheckpointHook, TargetUpdateHook
from .optim_wrappers import CPUAmpOptimWrapper
from .optimizers import LARS, OnlineOptimWrapperConstructor
from .runtime import build_runner, unwrap_model

__all__ = [
    'AtomicCheckpointHook', 'TargetUpdateHook', 'CPUAmpOptimWrapper', 'LARS',
    'OnlineOptimWrapperConstructor', 'build_runner', 'unwrap_model'
]
