"""Tensors that hold NaN or infinity."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


def named_tensors(values, name: str = '') -> Iterator[tuple[str, Tensor]]:
    """All tensors in nested dictionaries and lists, with dotted names."""
    if isinstance(values, Tensor):
        yield name, values
        return
    if isinstance(values, dict):
        items: Iterable[tuple] = values.items()
    elif isinstance(values, (list, tuple)):
        items = enumerate(values)
    else:
        return
    for key, value in items:
        yield from named_tensors(value, f'{name}.{key}' if name else str(key))


@torch.no_grad()
def non_finite(values) -> list[str]:
    """Names of the tensors that hold NaN or infinity.

    Waits for the device once, however many tensors there are.

    Args:
        values (dict | list): Tensors, nested to any depth.

    Returns:
        list[str]: Their dotted names.
    """
    by_device: dict[torch.device, list] = {}
    for name, tensor in named_tensors(values):
        if tensor.is_floating_point() or tensor.is_complex():
            flag = torch.isfinite(tensor.detach()).all()
            by_device.setdefault(tensor.device, []).append((name, flag))
    return [
        name
        for flags in by_device.values()
        for (name, _), finite in zip(
            flags, torch.stack([flag for _, flag in flags]).tolist()
        )
        if not finite
    ]
