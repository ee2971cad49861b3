"""What two processes of a training (gloo) compute, in a test."""

import torch
from torch import distributed, multiprocessing


def in_two_processes(work, folder):
    """Call a function in two processes that form a group.

    They are forks of this one where PyTorch can do so after a backward pass, which
    its builds for GPUs refuse: then nothing is imported again.

    Args:
        work (Callable): Gets the number of its process, 0 or 1; returns what
            ``torch.save`` takes.
        folder (Path): An empty folder.

    Returns:
        list: What it returns in each of them.
    """
    method = 'spawn' if torch.backends.cuda.is_built() else 'fork'
    multiprocessing.start_processes(_run, (work, folder), nprocs=2, start_method=method)
    return [torch.load(folder / f'{rank}.pth') for rank in (0, 1)]


def _run(rank, work, folder):
    torch.set_num_threads(1)
    distributed.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=2
    )
    torch.save(work(rank), folder / f'{rank}.pth')
    distributed.destroy_process_group()
