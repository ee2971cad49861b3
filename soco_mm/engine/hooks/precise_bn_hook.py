from collections.abc import Iterable
from itertools import islice

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import Tensor, nn

from soco_mm.registry import HOOKS

from ..runtime import unwrap_model


@HOOKS.register_module()
class PreciseBNHook(Hook):
    r"""Make the running statistics of batch norm precise before validation.

    In training they are a moving average over weights that have changed since.
    Before each validation, and before the checkpoint of the same iteration or
    epoch, this hook replaces them by the statistics of ``num_iters`` training
    batches under the present weights, as Detectron2 does
    (``TEST.PRECISE_BN``). With the mean :math:`m_i` and the variance
    :math:`v_i` of batch i,

    .. math::
        \mu = \frac{1}{n} \sum_i m_i, \quad
        \sigma^2 = \frac{1}{n} \sum_i (v_i + m_i^2) - \mu^2

    over all processes. Weights, gradients and the optimiser stay as they are;
    so do layers in evaluation mode (``norm_eval``). In training by iterations
    the batches are the next ones of the data loader, in training by epochs
    those of a further pass.

    Args:
        num_iters (int): Number of batches per process. Defaults to 200, as in
            Detectron2. In training by epochs no more than one epoch.

    Raises:
        ValueError: If ``num_iters`` is less than 1.
    """

    # Before the checkpoint is saved.
    priority = 'LOW'

    def __init__(self, num_iters: int = 200) -> None:
        if num_iters < 1:
            raise ValueError(f'num_iters must be 1 or more, but is {num_iters}.')
        self.num_iters = num_iters

    def after_train_iter(
        self,
        runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: dict | None = None,
    ) -> None:
        """In training by iterations, if validation is due."""
        loop = runner.train_loop
        if hasattr(loop, 'dataloader_iterator') and _is_due(
            runner, runner.iter + 1, loop.max_iters
        ):
            self._run(runner, loop.dataloader_iterator)

    def after_train_epoch(self, runner) -> None:
        """In training by epochs, if validation is due."""
        loop = runner.train_loop
        if not hasattr(loop, 'dataloader_iterator') and _is_due(
            runner, runner.epoch + 1, loop.max_epochs
        ):
            self._run(runner, runner.train_dataloader)

    def _run(self, runner, batches: Iterable) -> None:
        """Update the statistics of the runner's model."""
        model = unwrap_model(runner.model)
        with runner.optim_wrapper.optim_context(model):
            number = update_statistics(model, islice(batches, self.num_iters))
        print_log(
            f'The statistics of {number} batch norms are those of up to '
            f'{self.num_iters} batches.',
            logger='current',
        )


def _is_due(runner, done: int, last: int) -> bool:
    """Whether the loop validates after ``done`` iterations or epochs."""
    loop = runner.train_loop
    return (
        runner.val_loop is not None
        and done >= loop.val_begin
        and (done % loop.val_interval == 0 or done == last)
    )


@torch.no_grad()
def update_statistics(model: nn.Module, batches: Iterable) -> int:
    """Replace the running statistics of batch norm by those of some batches.

    Args:
        model (nn.Module): A model of MMEngine in training mode.
        batches (Iterable): Batches as from its data loader.

    Returns:
        int: Number of layers that were updated; those in evaluation mode and
        those that no batch has passed keep theirs.
    """
    layers = [
        module
        for module in model.modules()
        if module.training and getattr(module, 'running_var', None) is not None
    ]
    if not layers:
        return 0
    kept = [
        (
            layer.momentum,
            layer.running_mean.clone(),
            layer.running_var.clone(),
            layer.num_batches_tracked.clone(),
        )
        for layer in layers
    ]
    sums = {layer: _zeros(layer) for layer in layers}

    def add(layer: nn.Module, *_) -> None:
        # With a momentum of 1 these are the statistics of this batch.
        mean, var = layer.running_mean.double(), layer.running_var.double()
        total, squares, calls = sums[layer]
        total += mean
        squares += var + mean.square()
        calls += 1

    handles = [layer.register_forward_hook(add) for layer in layers]
    try:
        for layer in layers:
            layer.momentum = 1.0
        for data in batches:
            model(**model.data_preprocessor(data, True), mode='loss')
    finally:
        for handle in handles:
            handle.remove()
        for layer, (momentum, mean, var, number) in zip(layers, kept):
            layer.momentum = momentum
            layer.running_mean.copy_(mean)
            layer.running_var.copy_(var)
            layer.num_batches_tracked.copy_(number)
    return _replace(layers, [sums[layer] for layer in layers])


def _zeros(layer: nn.Module) -> list[Tensor]:
    """Sums of means and of squares, (C,) each, and the number of calls."""
    like = layer.running_mean.double()
    return [torch.zeros_like(like), torch.zeros_like(like), like.new_zeros(1)]


def _replace(layers: list[nn.Module], sums: list[list[Tensor]]) -> int:
    """Set the statistics to the means over all calls of all processes."""
    flat = torch.cat([part for each in sums for part in each])
    all_reduce(flat, op='sum')
    parts = iter(flat.split([len(part) for each in sums for part in each]))
    updated = 0
    for layer, total, squares, calls in zip(layers, parts, parts, parts):
        if not calls:
            continue
        mean = total / calls
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(squares / calls - mean.square())
        updated += 1
    return updated
