from collections.abc import Callable, Iterable

import torch
from torch.optim import Optimizer

from soco_mm.registry import OPTIMIZERS


@OPTIMIZERS.register_module()
class LARS(Optimizer):
    r"""Layer-wise adaptive rate scaling.

    Algorithm 1 of `Large Batch Training of Convolutional Networks
    <https://arxiv.org/abs/1708.03888>`_:

    .. math::
        \lambda &= \eta \|w\| / (\|g\| + \beta \|w\| + \epsilon) \\
        v &\leftarrow m v + \gamma \lambda (g + \beta w) \\
        w &\leftarrow w - v

    with learning rate :math:`\gamma`, momentum m, weight decay :math:`\beta`
    and trust coefficient :math:`\eta`. Parameters of one dimension, which are
    the biases and the weights of norm layers, take neither weight decay nor
    the layer-wise rate (:math:`\beta = 0, \lambda = 1`). A parameter or
    gradient of norm 0 takes :math:`\lambda = 1`.

    All parameters are updated in a few fused operations, and the norms stay
    on the device.

    Args:
        params (Iterable): Parameters, or dicts that define groups.
        lr (float): Learning rate.
        momentum (float): Momentum factor. Defaults to 0.9.
        weight_decay (float): Weight decay. Defaults to 1e-5.
        eta (float): Trust coefficient. Defaults to 0.001.
        eps (float): Added to the denominator. Defaults to 1e-8.

    Raises:
        ValueError: If one of the numbers is negative.

    Example:
        >>> import torch
        >>> from soco_mm.engine import LARS
        >>> model = torch.nn.Linear(4, 2)
        >>> optimizer = LARS(model.parameters(), lr=0.1)
        >>> model(torch.ones(1, 4)).sum().backward()
        >>> optimizer.step()
    """

    def __init__(
        self,
        params: Iterable,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 1e-5,
        eta: float = 0.001,
        eps: float = 1e-8,
    ) -> None:
        defaults = dict(
            lr=lr, momentum=momentum, weight_decay=weight_decay, eta=eta, eps=eps
        )
        for name, value in defaults.items():
            if value < 0:
                raise ValueError(f'{name} must not be negative: {value}')
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """Perform one optimisation step.

        Args:
            closure (Callable, optional): Reevaluates the model and returns
                the loss. Defaults to None.

        Returns:
            Tensor, optional: What the closure returned.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group['params'] if p.grad is not None]
            for adapted in (True, False):
                chosen = [p for p in params if (p.ndim > 1) == adapted]
                if chosen:
                    self._update(chosen, group, adapted)
        return loss

    def _update(self, params: list, group: dict, adapted: bool) -> None:
        """Update parameters that are all adapted, or all not."""
        updates = [p.grad for p in params]
        if adapted:
            decay = group['weight_decay']
            weight_norms = torch.stack(torch._foreach_norm(params))
            grad_norms = torch.stack(torch._foreach_norm(updates))
            rates = (
                group['eta']
                * weight_norms
                / (grad_norms + decay * weight_norms + group['eps'])
            )
            rates = torch.where((weight_norms > 0) & (grad_norms > 0), rates, 1.0)
            updates = torch._foreach_add(updates, params, alpha=decay)
            torch._foreach_mul_(updates, list(rates.unbind()))
            torch._foreach_mul_(updates, group['lr'])
        else:
            updates = torch._foreach_mul(updates, group['lr'])
        buffers = []
        for p in params:
            state = self.state[p]
            if 'momentum_buffer' not in state:
                state['momentum_buffer'] = torch.zeros_like(p)
            buffers.append(state['momentum_buffer'])
        torch._foreach_mul_(buffers, group['momentum'])
        torch._foreach_add_(buffers, updates)
        torch._foreach_sub_(params, buffers)
