"""Memory that is saved by computing a part of a model again (``with_cp``)."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils import checkpoint as recomputation


@contextmanager
def not_reentrant() -> Iterator[None]:
    """Let MMDetection's backbones with ``with_cp=True`` run on several processes.

    They leave PyTorch's default, a backward pass within that of the model.
    DistributedDataParallel refuses a parameter that is in several of these, and the
    backbone computes the views one after the other.
    """
    original = recomputation.checkpoint

    def checkpoint(function, *args, **kwargs):
        kwargs.setdefault('use_reentrant', False)
        return original(function, *args, **kwargs)

    recomputation.checkpoint = checkpoint
    try:
        yield
    finally:
        recomputation.checkpoint = original
