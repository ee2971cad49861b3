from .hooks import AtomicCheckpointHook, TargetUpdateHook
from .optim_wrappers import CPUAmpOptimWrapper
from .optimizers import LARS, OnlineOptimWrapperConstructor
from .runtime import build_runner, unwrap_model
from .vis_backend import JSONVisBackend

__all__ = [
    'AtomicCheckpointHook', 'TargetUpdateHook', 'CPUAmpOptimWrapper', 'LARS',
    'JSONVisBackend',
    'OnlineOptimWrapperConstructor', 'build_runner', 'unwrap_model'
]
