"""Decisions that all processes of a training make together."""

import socket
from collections.abc import Callable

import torch
from mmengine.device import get_device
from mmengine.dist import (
    all_gather_object,
    all_reduce,
    broadcast_object_list,
    get_rank,
    get_world_size,
    is_distributed,
)

from soco_mm.utils import SoCoError


def any_process(flag: bool) -> bool:
    """Whether a flag is set on any of the processes."""
    if not is_distributed() or get_world_size() == 1:
        return flag
    found = torch.tensor(float(flag), device=get_device())
    all_reduce(found, 'max')
    return bool(found.item())


def first_of(value: float) -> float:
    """The smallest value of all processes."""
    if not is_distributed() or get_world_size() == 1:
        return value
    found = torch.tensor(float(value), device=get_device())
    all_reduce(found, 'min')
    return found.item()


def together(function: Callable):
    """Call a function on all processes; an error on one stops all.

    Args:
        function (Callable): What to call.

    Returns:
        What it returns.

    Raises:
        SoCoError: The error of the first process that raised one; on the
            others it is ``silent``, so that it is printed once.
    """
    result, error = None, None
    try:
        result = function()
    except SoCoError as raised:
        error = raised
    errors = all_gather_object(error and (type(error), str(error)))
    number = next((i for i, each in enumerate(errors) if each), None)
    if number is None:
        return result
    if number == get_rank():
        raise error
    kind, text = errors[number]
    error = kind(text)
    error.silent = True
    raise error


def from_first(value):
    """A plain value as the first process has it."""
    values = [value]
    broadcast_object_list(values)
    return values[0]


def this_process() -> str:
    """Rank and host of this process, for messages."""
    return f'process {get_rank()} on {socket.gethostname()}'
