"""A file of safetensors, which holds only tensors and text."""

import json

from torch import Tensor

from soco_mm.utils import UsageError


def safetensors_bytes(weights: dict[str, Tensor], version: str, model: dict) -> bytes:
    """Write weights as a file of safetensors.

    Args:
        weights (dict[str, Tensor]): Weights, each contiguous and with a
            storage of its own.
        version (str): Version of this package.
        model (dict): The ``model`` of the pretraining's config, plain data.

    Returns:
        bytes: The file. Its metadata are ``format``, ``soco_mm_version`` and
        ``model``, as JSON.

    Raises:
        UsageError: If safetensors is not installed.
    """
    try:
        from safetensors.torch import save
    except ImportError:
        raise UsageError(
            'This format needs the package safetensors, which is '
            'not installed: pip install safetensors'
        ) from None
    return save(
        weights, dict(format='pt', soco_mm_version=version, model=json.dumps(model))
    )
