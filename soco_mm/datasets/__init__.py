from .object_views import ObjectViewDataset
from .sampler import EpochSampler
from .transforms import *  # noqa: F403

__all__ = ['EpochSampler', 'ObjectViewDataset']
