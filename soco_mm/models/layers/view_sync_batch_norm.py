"""Batch norm over all processes, with statistics of its own for each view."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor, distributed, nn
from torch.autograd.function import Function, once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

_views: ContextVar[int] = ContextVar('views', default=1)


@contextmanager
def batch_of_views(number: int) -> Iterator[None]:
    """Tell :class:`ViewSyncBatchNorm` that a batch holds several views.

    Args:
        number (int): How many views follow each other along the batch
            dimension, each with as many samples.
    """
    token = _views.set(number)
    try:
        yield
    finally:
        _views.reset(token)


class ViewSyncBatchNorm(_BatchNorm):
    r"""Batch norm with the statistics of all processes, and of one view each.

    Like ``torch.nn.SyncBatchNorm``, whose tensors and arguments it has, but

    - it never waits for the device: one all-reduce of the sums of x and
      :math:`x^2` and of the number of values, forward, and one of the sums of
      the gradient and of its product with :math:`x - \mu`, backward;
    - several views in one batch, see :func:`batch_of_views`, keep statistics
      of their own, which share these all-reduces. The running statistics
      change as if the views had come one after the other;
    - it also runs on CPUs.

    The sums are added up in float64, so that a large mean does not spoil the
    variance. Processes may have different numbers of values, or none.

    Where there is one process it is plain batch norm. In evaluation mode
    nothing is exchanged.

    Args:
        num_features (int): Number of channels C of the input, (N, C, ...).
        eps (float): Added to the variance. Defaults to 1e-5.
        momentum (float, optional): Of the running statistics; None for their
            mean over all batches. Defaults to 0.1.
        affine (bool): Whether there are weights. Defaults to True.
        track_running_stats (bool): Whether there are running statistics.
            Defaults to True.
        process_group (ProcessGroup, optional): The processes whose statistics
            are shared. Defaults to None, all.

    Raises:
        ValueError: By the forward pass, if the input has no channels, or its
            samples cannot be divided among the views.

    Example:
        >>> import torch
        >>> from soco_mm.models.layers import ViewSyncBatchNorm, batch_of_views
        >>> norm = ViewSyncBatchNorm(1, affine=False)
        >>> x = torch.tensor([[1.0], [3.0], [10.0], [20.0]])  # two views
        >>> with batch_of_views(2):
        ...     norm(x).round().flatten().tolist()
        [-1.0, 1.0, -1.0, 1.0]
    """

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: distributed.ProcessGroup | None = None,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats)
        self.process_group = process_group

    @classmethod
    def convert(cls, model: nn.Module) -> nn.Module:
        """Replace each ``torch.nn.SyncBatchNorm`` of a model.

        Args:
            model (nn.Module): The model; changed in place. Parameters and
                buffers stay the same objects.

        Returns:
            nn.Module: The model, or what replaces it.
        """
        made: dict[nn.Module, nn.Module] = {}

        def replaced(module: nn.Module) -> nn.Module:
            if module not in made:
                made[module] = cls._like(module)
            return made[module]

        for parent in list(model.modules()):
            for name, child in parent._modules.items():
                if isinstance(child, nn.SyncBatchNorm):
                    parent._modules[name] = replaced(child)
        return replaced(model) if isinstance(model, nn.SyncBatchNorm) else model

    @classmethod
    def _like(cls, norm: nn.Module) -> 'ViewSyncBatchNorm':
        """One that holds the tensors of another norm."""
        made = cls(
            norm.num_features,
            norm.eps,
            norm.momentum,
            norm.affine,
            norm.track_running_stats,
            norm.process_group,
        )
        made._parameters.update(norm._parameters)
        made._buffers.update(norm._buffers)
        return made.train(norm.training)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2 or input.size(1) == 0:
            raise ValueError(
                f'ViewSyncBatchNorm expects (N, C, ...), but got {tuple(input.shape)}.'
            )

    def forward(self, input: Tensor) -> Tensor:
        """Normalise a batch.

        Args:
            input (Tensor): (N, C, ...), float16, bfloat16, float32 or
                float64, in any memory format.

        Returns:
            Tensor: Of the same shape, dtype and memory format.
        """
        views = _views.get()
        if not self.training:
            return super().forward(input)
        if len(input) % views:
            raise ValueError(
                f'A batch of {len(input)} samples does not hold {views} views.'
            )
        if get_world_size(self.process_group) == 1:
            plain = super().forward
            if views == 1:
                return plain(input)
            return torch.cat([plain(view) for view in input.chunk(views)])
        self._check_input_dim(input)
        out, mean, var, count = _SyncedNorm.apply(
            input, self.weight, self.bias, self.eps, views, self.process_group
        )
        if self.track_running_stats:
            self._track(mean, var, count)
        return out

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        """Move the running statistics to those of each view.

        Args:
            mean (Tensor): (V, C).
            var (Tensor): With the divisor ``count``, (V, C).
            count (Tensor): (V, 1).
        """
        var = var * count / (count - 1).clamp(min=1)
        for number, each_mean, each_var in zip(count, mean, var):
            self.num_batches_tracked.add_(1)
            step = self.momentum
            if step is None:
                step = 1 / self.num_batches_tracked.to(mean.dtype)
            step = number.clamp(max=1) * step  # no process has a value: they stay
            self.running_mean.lerp_(each_mean, step)
            self.running_var.lerp_(each_var, step)


class _SyncedNorm(Function):
    """Normalise each view of a batch by the statistics of all processes."""

    @staticmethod
    def forward(ctx, x, weight, bias, eps, views, group):
        x = _dense(x)
        parts = x.tensor_split(views)
        sums = torch.stack([_sums(part, eps) for part in parts])
        distributed.all_reduce(sums, group=group)
        total, squares, count = sums.tensor_split((x.size(1), 2 * x.size(1)), 1)
        mean = total / count.clamp(min=1)
        var = (squares / count.clamp(min=1) - mean.square()).clamp(min=0)
        dtype = _dtype_of_statistics(x)
        mean, var, invstd, count = (
            each.to(dtype) for each in (mean, var, (var + eps).rsqrt(), count)
        )
        ctx.save_for_backward(x, weight, mean, invstd, count)
        ctx.group = group
        ctx.mark_non_differentiable(mean, var, count)
        out = [
            _normalise(part, weight, bias, mean[view], var[view], invstd[view], eps)
            for view, part in enumerate(parts)
        ]
        return _joined(out), mean, var, count

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, *_):
        x, weight, mean, invstd, count = ctx.saved_tensors
        views, channels = mean.shape
        grad = _dense(grad)
        pairs = list(zip(grad.tensor_split(views), x.tensor_split(views)))
        sums = torch.stack(
            [
                _gradient_sums(dy, part, mean[view], invstd[view], weight)
                for view, (dy, part) in enumerate(pairs)
            ]
        )
        grad_x = grad_weight = grad_bias = None
        # Those of this process: distributed training adds up weights itself.
        if weight is not None and ctx.needs_input_grad[1]:
            grad_weight = (sums[:, channels:] * invstd).sum(0).to(weight.dtype)
        if weight is not None and ctx.needs_input_grad[2]:
            grad_bias = sums[:, :channels].sum(0).to(weight.dtype)
        if ctx.needs_input_grad[0]:
            distributed.all_reduce(sums, group=ctx.group)
            total, product = sums.split(channels, 1)
            parts = [
                _input_gradient(
                    dy,
                    part,
                    mean[view],
                    invstd[view],
                    weight,
                    total[view],
                    product[view],
                    count[view],
                )
                for view, (dy, part) in enumerate(pairs)
            ]
            grad_x = _joined(parts)
        return grad_x, grad_weight, grad_bias, None, None, None


def _dense(x: Tensor) -> Tensor:
    """The tensor in one of the two memory formats that kernels read."""
    for memory_format in (torch.channels_last, torch.channels_last_3d):
        if x.is_contiguous(memory_format=memory_format):
            return x
    return x.contiguous()


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _dtype_of_statistics(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _per_channel(values: Tensor, x: Tensor) -> Tensor:
    """(C,) in the shape that multiplies (N, C, ...)."""
    return values.view(1, -1, *[1] * (x.dim() - 2))


def _over(x: Tensor) -> list[int]:
    """All dimensions but that of the channels."""
    return [each for each in range(x.dim()) if each != 1]


def _sums(x: Tensor, eps: float) -> Tensor:
    """Sums of x and of its squares by channel, and the number of values.

    Returns:
        Tensor: float64, (2 C + 1,).
    """
    channels = x.size(1)
    number = x.numel() // channels
    if not number:
        return torch.zeros(2 * channels + 1, dtype=torch.float64, device=x.device)
    if x.is_cuda:
        mean, invstd = torch.batch_norm_stats(x, eps)
        mean, var = mean.double(), invstd.double().pow(-2) - eps
    else:
        values = x.to(_dtype_of_statistics(x))
        var, mean = torch.var_mean(values, _over(x), correction=0)
        mean, var = mean.double(), var.double()
    squares = var + mean.square()
    return torch.cat([mean * number, squares * number, mean.new_full((1,), number)])


def _normalise(x, weight, bias, mean, var, invstd, eps) -> Tensor:
    """One view, (N, C, ...), by statistics (C,)."""
    if not x.numel():
        return torch.empty_like(x)
    if x.is_cuda:
        return torch.batch_norm_elemt(x, weight, bias, mean, invstd, eps)
    return F.batch_norm(x, mean, var, weight, bias, eps=eps)


def _gradient_sums(grad, x, mean, invstd, weight) -> Tensor:
    """Sums of the gradient, and of it times x - mean, by channel; (2 C,)."""
    if not x.numel():
        return mean.new_zeros(2 * len(mean))
    if x.is_cuda:
        both = torch.batch_norm_backward_reduce(
            grad, x, mean, invstd, weight, True, False, False
        )
        return torch.cat(both[:2])
    grad = grad.to(mean.dtype)
    centred = x.to(mean.dtype) - _per_channel(mean, x)
    return torch.cat([grad.sum(_over(x)), (grad * centred).sum(_over(x))])


def _input_gradient(grad, x, mean, invstd, weight, total, product, count) -> Tensor:
    """The gradient of one view, from the sums of all processes."""
    if not x.numel():
        return torch.empty_like(x)
    if weight is not None:
        weight = weight.to(mean.dtype)
    if x.is_cuda:
        return torch.batch_norm_backward_elemt(
            grad, x, mean, invstd, weight, total, product, count.int()
        )
    scale = invstd if weight is None else invstd * weight
    slope = -scale * invstd.square() * product / count
    scale, slope, mean, total = (
        _per_channel(each, x) for each in (scale, slope, mean, total / count)
    )
    found = (grad.to(mean.dtype) - total) * scale + (x.to(mean.dtype) - mean) * slope
    return found.to(x.dtype)
