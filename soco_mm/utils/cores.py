"""How many processes this one may use."""

import os

# More than feed any GPU, and each of them holds batches in shared memory.
MAX_LOADING = 16


def loading_workers() -> int:
    """Number of processes that load images: one per core, and 16 at most."""
    return min(len(os.sched_getaffinity(0)), MAX_LOADING)
