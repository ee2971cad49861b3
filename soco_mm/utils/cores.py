"""How many processes this one may use."""

import os
from pathlib import Path

# More than feed any GPU, and each of them holds batches in shared memory.
MAX_LOADING = 16
# Microseconds of all cores in a period, and the period; of a container.
QUOTA = Path('/sys/fs/cgroup/cpu.max')


def usable_cores() -> int:
    """Number of cores: those that are allowed, within the quota of a container."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError, ZeroDivisionError):  # none, or "max"
        return cores


def loading_workers() -> int:
    """Number of processes that load images: one per core, and 16 at most."""
    return min(usable_cores(), MAX_LOADING)
