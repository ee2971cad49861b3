from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def batch_statistics(model: nn.Module) -> Iterator[None]:
    """Let batch norm use the statistics of each batch, and change nothing.

    Running statistics are a poor measure of a network that is compared before
    and after a training: new layers start with a mean of 0 and a variance of 1,
    which are those of no image, and after a short training they lag behind the
    weights. Unlike in training mode they stay as they are, dropout and drop path
    are off, and SyncBN does not wait for other processes. Norms that the model
    itself keeps in evaluation mode, those of frozen parts, keep their running
    statistics.

    Args:
        model (nn.Module): The model; its mode is restored at the end.
    """
    before = model.training
    # Only the model knows which of its parts are frozen.
    model.train()
    norms = [
        (module, module.running_mean, module.running_var)
        for module in model.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
    ]
    model.eval()
    # Without them PyTorch uses those of the batch, in evaluation mode too.
    for norm, _, _ in norms:
        norm.running_mean = norm.running_var = None
    try:
        yield
    finally:
        for norm, mean, var in norms:
            norm.running_mean, norm.running_var = mean, var
        model.train(before)
