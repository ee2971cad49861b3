"""PyTorch's switch that lets files of weights run nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .log import logger

# PyTorch reads both at each ``torch.load``, and refuses to load if both are set.
FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
FORBID = 'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'
YES = ('1', 'y', 'yes', 'true')


def force_weights_only() -> None:
    """Let every ``torch.load`` of this process and its children read weights only.

    That holds whatever the caller asks for: some versions of MMEngine load a
    file again, unsafely, when it cannot be loaded safely.
    """
    if os.environ.pop(FORBID, '').lower() in YES:
        logger.warning(
            f'{FORBID} is ignored: checkpoints are read as weights only, since '
            'others could run code.'
        )
    os.environ[FORCE] = '1'


def force_by_default() -> None:
    """The same, unless the environment already decides: ``0`` is a choice too."""
    if FORCE not in os.environ:
        force_weights_only()


@contextmanager
def only_weights() -> Iterator[None]:
    """Let every ``torch.load`` read weights only for a while.

    Example:
        >>> import os
        >>> from soco_mm.weights_only import FORCE, only_weights
        >>> with only_weights():
        ...     os.environ[FORCE]
        '1'
    """
    before = {name: os.environ.pop(name, None) for name in (FORCE, FORBID)}
    os.environ[FORCE] = '1'
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
