from .lars import LARS
from .online_constructor import OnlineOptimWrapperConstructor

__all__ = ['LARS', 'OnlineOptimWrapperConstructor']
