"""Decisions that all processes of a training make together."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

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

from soco_mm.utils import SoCoError, exclusive


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


class RegularAgreement:
    """A flag on which all processes agree, every few seconds.

    Each agreement costs a collective operation and, on a GPU, a wait for the
    device. So they are a number of steps apart that takes about ``seconds``; the
    first process says how many. A single process agrees with itself at each step.

    Args:
        seconds (float): Time between two agreements. Defaults to 5.
    """

    def __init__(self, seconds: float = 5) -> None:
        self.seconds = seconds
        self.left, self.steps, self.since = 1, 1, time.monotonic()

    def any(self, flag: Callable[[], bool]) -> bool:
        """Whether a flag is set on any process; called once a step by all.

        Args:
            flag (Callable): Reads the flag of this process.

        Returns:
            bool: The same on all processes; False between two agreements.
        """
        if not is_distributed() or get_world_size() == 1:
            return flag()
        self.left -= 1
        if self.left > 0:
            return False
        now = time.monotonic()
        per_step = (now - self.since) / self.steps
        steps = min(1000.0, max(1.0, self.seconds // max(per_step, 1e-3)))
        found = torch.tensor(
            [float(flag()), steps * (get_rank() == 0)], device=get_device()
        )
        all_reduce(found, 'max')
        agreed, steps = found.tolist()
        self.left = self.steps = int(steps)
        self.since = time.monotonic()
        return bool(agreed)


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


@contextmanager
def exclusive_to_training(folder: str | Path, what: str) -> Iterator[None]:
    """Keep all but the processes of this training from making a folder.

    Args:
        folder (str | Path): The folder, which is made.
        what (str): What is being made, for the message.

    Raises:
        UsageError: If another process is making it, or it cannot be written.
    """
    with ExitStack() as held:

        def hold() -> None:
            if get_rank() == 0:
                # The folder above may belong to somebody else.
                held.enter_context(exclusive(folder, what, inside=True))

        together(hold)
        yield


def from_first(value):
    """A plain value as the first process has it."""
    values = [value]
    broadcast_object_list(values)
    return values[0]


def this_process() -> str:
    """Rank and host of this process, for messages."""
    return f'process {get_rank()} on {socket.gethostname()}'
