"""Batches of a detector's training, of which those that are done can be skipped."""

from collections.abc import Iterator
from itertools import islice

from mmdet.datasets.samplers import AspectRatioBatchSampler

from soco_mm.registry import DATA_SAMPLERS


@DATA_SAMPLERS.register_module()
class AspectRatioBatches(AspectRatioBatchSampler):
    """MMDetection's batches of wide or high images, from one number to another.

    Attributes:
        part (tuple[int, int], optional): The first batch, and the one after the
            last, see :func:`soco_mm.datasets.sampler.part_of_epoch`. None for all.
    """

    part: tuple[int, int] | None = None

    def __iter__(self) -> Iterator[list[int]]:
        """Iterate over the indices of batches; those before are not loaded."""
        # What is left of an epoch that was not read to its end.
        self._aspect_ratio_buckets: list[list] = [[], []]
        return islice(super().__iter__(), *(self.part or (None,)))
