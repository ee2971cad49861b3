import torch
from mmengine.dist import all_gather, get_world_size
from torch import Tensor


def gather_batch(values: Tensor) -> Tensor:
    """Concatenate what all processes have, without gradients.

    Args:
        values (Tensor): What this process has, (R, C), of the same shape on all
            processes.

    Returns:
        Tensor: That of all processes in the order of their ranks, (W R, C).
    """
    return torch.cat(all_gather(values.detach().contiguous()))


def gather_trained(values: Tensor) -> Tensor:
    """The same, with gradients through this process's own part.

    They are multiplied by the number of processes W, so that their mean over
    the processes, which distributed training takes, is the gradient that one
    process with the whole batch would have.

    Args:
        values (Tensor): What this process has, (R, C).

    Returns:
        Tensor: That of all processes, (W R, C).
    """
    world = get_world_size()
    if world == 1:
        return values
    gathered = gather_batch(values)
    start = torch.distributed.get_rank() * len(values)
    # Of value 0; only its gradient counts.
    own = world * (values - values.detach())
    own = torch.nn.functional.pad(
        own, (0, 0, start, len(gathered) - start - len(values))
    )
    return gathered + own


def mean_over_processes(values: Tensor, valid: Tensor) -> Tensor:
    """The mean of what is valid, as each process contributes to it.

    Args:
        values (Tensor): One of each object of this process, float32, (R,).
        valid (Tensor): Which count, bool, (R,).

    Returns:
        Tensor: A scalar. Its mean over the processes, which distributed
        training takes, is that of the valid objects of all of them; 0 if there
        are none.
    """
    weight = valid.float()
    total = gather_batch(weight).sum().clamp(min=1)
    return (values * weight).sum() * get_world_size() / total
