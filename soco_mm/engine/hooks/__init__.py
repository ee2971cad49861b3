from .checkpoint_hook import AtomicCheckpointHook
from .target_update_hook import TargetUpdateHook

__all__ = ['AtomicCheckpointHook', 'TargetUpdateHook']
