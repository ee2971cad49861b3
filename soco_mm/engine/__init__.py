from .hooks import TargetUpdateHook
from .optimizers import LARS

__all__ = ['TargetUpdateHook', 'LARS']
