"""A training that needs more memory than there is."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from soco_mm.errors import SoCoError

from .stopping import log_to_file

# What PyTorch says on a CPU, and of libraries that allocate memory themselves.
NO_MEMORY = re.compile(r"out of memory|DefaultCPUAllocator: can't|_ALLOC_FAILED")
# Of both its own processes, and those that load.
SHARED = 'shared memory(shm)'


@contextmanager
def memory_named(advice: str) -> Iterator[None]:
    """Say in a sentence that memory is not enough; the log file has the stack trace.

    Args:
        advice (str): What to do, a sentence.

    Raises:
        SoCoError: If so.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if SHARED in text:
            log_to_file('The shared memory is full.')
            raise SoCoError(
                'The shared memory (/dev/shm), by which workers of the data loader '
                'return batches, is full. Load without them, --workers 0 '
                '(train_dataloader.num_workers=0), or enlarge it: docker run '
                '--shm-size=8g.'
            ) from error
        on_gpu = isinstance(error, torch.cuda.OutOfMemoryError)
        if not (on_gpu or NO_MEMORY.search(text)):
            raise
        log_to_file('There is not enough memory.')
        where = 'memory of the GPU' if on_gpu or 'CPU' not in text else 'memory'
        wanted = re.search(r'[Tt]ried to allocate ([\d.]+ \w+)', text)
        more = f' ({wanted[1]} more were asked for)' if wanted else ''
        raise SoCoError(
            f'The {where} is not enough for a step of the training{more}. {advice}'
        ) from error
