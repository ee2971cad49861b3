from .object_views import ObjectViewDataset
from .sampler import EpochSampler
from .transforms import *  # noqa: F401,F403

__all__ = ['ObjectViewDataset', 'EpochSampler']
