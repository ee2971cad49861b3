from collections.abc import Iterator

import numpy as np
from mmengine.dataset import DefaultSampler

from soco_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class EpochSampler(DefaultSampler):
    """MMEngine's sampler, with the epoch in the index.

    It yields ``epoch * len(dataset) + index``, so that a dataset can draw a
    sample's random numbers from the seed, the epoch and the image: the same
    in any worker process, and in a resumed training. An index below
    ``len(dataset)`` is of epoch 0.
    """

    def __iter__(self) -> Iterator[int]:
        """Iterate over this rank's indices of the current epoch."""
        offset = self.epoch * len(self.dataset)
        return (offset + index for index in super().__iter__())


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of one sample."""
    return np.random.Generator(
        np.random.PCG64(np.random.SeedSequence([seed, epoch, index]))
    )
