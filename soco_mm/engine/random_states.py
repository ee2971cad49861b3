"""Seeds and states of random number generators, as plain data."""

import random
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import sync_random_seed

from soco_mm.checkpoint import read_checkpoint


def settle_seed(cfg: Config, checkpoint: Path | None) -> int:
    """The seed of a training, the same in all processes; in place.

    A config without one gets that of the checkpoint from which it is resumed, or
    one that is drawn. MMEngine would draw another for the order of the images.

    Args:
        cfg (Config): The config of a training.
        checkpoint (Path, optional): The checkpoint; None to start.

    Returns:
        int: The seed, which is in the config now.
    """
    given = cfg.get('randomness') or {}
    seed = given.get('seed')
    if seed is None and checkpoint is not None:
        seed = read_checkpoint(checkpoint).get('meta', {}).get('seed')
    if seed is None:
        seed = sync_random_seed()
    cfg.randomness = dict(given, seed=seed)
    return seed


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
