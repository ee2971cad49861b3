from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np
from mmengine.dataset import DefaultSampler
from torch.utils.data import BatchSampler, DataLoader, Sampler

from soco_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class EpochSampler(DefaultSampler):
    """MMEngine's sampler, with the epoch in the index.

    It yields ``epoch * len(dataset) + index``, so that a dataset can draw a
    sample's random numbers from the seed, the epoch and the image: the same
    in any worker process, and in a resumed training. An index below
    ``len(dataset)`` is of epoch 0.

    Step k of an epoch takes the same images, whether they are on one process or
    on several: those from ``k * G`` to ``(k + 1) * G`` of the shuffled data set,
    where G is the number of images per optimiser step on all processes.
    """

    def keep_whole_steps(self, images: int) -> None:
        """Leave out what does not fill a step, so that no step spans two epochs.

        Args:
            images (int): Images per optimiser step on this process.
        """
        steps = len(self.dataset) // (images * self.world_size)
        self.num_samples = steps * images
        self.total_size = self.num_samples * self.world_size

    def __iter__(self) -> Iterator[int]:
        """Iterate over this rank's indices of the current epoch."""
        offset = self.epoch * len(self.dataset)
        return (offset + index for index in super().__iter__())


def sample_rng(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The random numbers of one sample."""
    return np.random.Generator(
        np.random.PCG64(np.random.SeedSequence([seed, epoch, index]))
    )


class PartOfSampler:
    """The indices of a sampler from one position to another.

    Args:
        sampler (Sampler): The sampler.
        first (int): Position of the first index.
        last (int): Position after the last one.
    """

    def __init__(self, sampler: Sampler, first: int, last: int) -> None:
        self.sampler, self.first, self.last = sampler, first, last

    def __iter__(self) -> Iterator[int]:
        """Iterate over the indices; those before are counted, not loaded."""
        return islice(self.sampler, self.first, self.last)

    def __len__(self) -> int:
        """Number of indices up to the last one, as those of the whole epoch."""
        return min(self.last, len(self.sampler))


def has_parts(loader: DataLoader) -> bool:
    """Whether :func:`part_of_epoch` can skip batches of a data loader.

    It can where they are slices of the sampler, or their sampler has a ``part``.
    """
    batches = loader.batch_sampler
    return type(batches) is BatchSampler or hasattr(batches, 'part')


@contextmanager
def part_of_epoch(loader: DataLoader, first: int, last: int) -> Iterator[DataLoader]:
    """Let a data loader yield only some batches of an epoch.

    Batches before the first are not loaded, nor are those after the last. While
    it lasts, the length of the loader is ``last``, as if the epoch ended there.

    Args:
        loader (DataLoader): The data loader.
        first (int): Number of the first batch, from 0.
        last (int): Number after the last batch.

    Yields:
        DataLoader: The loader.

    Example:
        >>> from torch.utils.data import DataLoader, Sampler
        >>> from soco_mm.datasets.sampler import part_of_epoch
        >>> loader = DataLoader(range(10), batch_size=2)
        >>> with part_of_epoch(loader, 1, 3):
        ...     [batch.tolist() for batch in loader]
        [[2, 3], [4, 5]]
    """
    batches = loader.batch_sampler
    if first == 0 and last == len(loader):
        yield loader
        return
    if hasattr(batches, 'part'):
        batches.part = first, last
        try:
            yield loader
        finally:
            batches.part = None
        return
    whole, size = batches.sampler, batches.batch_size
    batches.sampler = PartOfSampler(whole, first * size, last * size)
    try:
        yield loader
    finally:
        batches.sampler = whole
