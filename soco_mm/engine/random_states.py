"""States of random number generators, as plain data."""

import random

import numpy as np
import torch


def random_states() -> dict:
    """The states of this process: of Python, NumPy, PyTorch and its GPU.

    Returns:
        dict: Tensors and plain types, see :func:`set_random_states`.
    """
    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    states = dict(
        python=[version, list(numbers), gauss],
        numpy=[kind, keys.tolist(), position, has_gauss, cached],
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available():
        states['cuda'] = torch.cuda.get_rng_state()
    return states


def set_random_states(states: dict) -> None:
    """Continue where generators were.

    Args:
        states (dict): What :func:`random_states` returned. A state of a GPU is
            ignored where there is none.

    Example:
        >>> import torch
        >>> from soco_mm.engine.random_states import random_states, set_random_states
        >>> states = random_states()
        >>> first = torch.rand(3)
        >>> set_random_states(states)
        >>> bool((torch.rand(3) == first).all())
        True
    """
    version, numbers, gauss = states['python']
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *rest = states['numpy']
    np.random.set_state((kind, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu())
    if 'cuda' in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(states['cuda'].cpu())
