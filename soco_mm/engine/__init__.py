from .hooks import AtomicCheckpointHook, TargetUpdateHook
from .loops import StepTrainLoop
from .optim_wrappers import BFloat16OptimWrapper
from .optimizers import LARS, OnlineOptimWrapperConstructor
from .runtime import build_runner, unwrap_model
from .vis_backend import JSONVisBackend

__all__ = [
    'LARS',
    'AtomicCheckpointHook',
    'BFloat16OptimWrapper',
    'JSONVisBackend',
    'OnlineOptimWrapperConstructor',
    'StepTrainLoop',
    'TargetUpdateHook',
    'build_runner',
    'unwrap_model',
]
