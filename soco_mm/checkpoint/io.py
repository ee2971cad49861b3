import io
import re
import warnings
from pathlib import Path

import torch
from torch import Tensor

from soco_mm.utils import SoCoError, UsageError, atomic_write
from soco_mm.utils.finite import non_finite

# PyTorch's messages about objects that it does not load, with their class.
UNSAFE = re.compile(
    r'(?:GLOBAL|Unsupported class|instantiate) ([\w.]+\.\w+)|allowlisted|'
    r'Trying to call reduce'
)
PREFIX = 'module.'  # of a model that was wrapped for several processes


def read_checkpoint(path: str | Path, allowed: tuple = ()) -> dict:
    """Read a checkpoint onto the CPU: only tensors and plain data are loaded.

    Args:
        path (str | Path): The file.
        allowed (tuple): Further classes of plain data that it may hold.
            Defaults to ().

    Returns:
        dict: What it holds.

    Raises:
        UsageError: If there is no such file.
        SoCoError: If it is not a checkpoint, is truncated, holds objects
            that would run code when loaded, or NaN or infinity.
    """
    checkpoint = read_plain(path, allowed)
    # The optimiser's state matters when a training is resumed.
    check_finite(
        {key: value for key, value in checkpoint.items() if key != 'optimizer'}, path
    )
    return checkpoint


def read_plain(path: str | Path, allowed: tuple = ()) -> dict:
    """Read a file as :func:`read_checkpoint`, whatever its numbers are."""
    path = Path(path).expanduser()
    if path.is_dir():
        raise UsageError(f'{path} is a folder. Give a checkpoint in it.')
    if not path.is_file():
        raise UsageError(f'There is no checkpoint {path}.')
    if path.stat().st_size == 0:
        raise SoCoError(f'{path} is an empty file, not a checkpoint.')
    try:
        with torch.serialization.safe_globals(list(allowed)), warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of how the file was pickled
            checkpoint = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # PyTorch has no type for a bad file
        found = UNSAFE.search(str(error))
        if found or is_other_pickle(path, error):
            name = f' ({found[1]})' if found and found[1] else ''
            raise SoCoError(
                f'{path} holds more than tensors and plain data{name}, which '
                'is not loaded since it could run code.'
            ) from None
        raise SoCoError(f'{path} is not a checkpoint, or is truncated.') from None
    if not isinstance(checkpoint, dict):
        raise SoCoError(f'{path} holds no dictionary of weights.')
    return checkpoint


def check_finite(values: dict, path: str | Path) -> None:
    """Refuse NaN and infinity.

    Args:
        values (dict): Tensors, nested to any depth.
        path (str | Path): The file that they are from.

    Raises:
        SoCoError: If a tensor holds one; it is named.
    """
    if wrong := non_finite(values):
        name = wrong[0].removeprefix('state_dict.').removeprefix('model.')
        more = f' and {len(wrong) - 1} more tensors' * (len(wrong) > 1)
        raise SoCoError(
            f'{path} holds NaN or infinity in {name}{more}. Use '
            'an earlier checkpoint of that training.'
        )


def is_other_pickle(path: Path, error: Exception) -> bool:
    """Whether a file is a pickle, but not of the kind that PyTorch writes."""
    with path.open('rb') as stream:
        return stream.read(1) == b'\x80' and 'Unsupported op' in str(error)


def state_dict_of(checkpoint: dict, path: str | Path) -> dict[str, Tensor]:
    """The weights in a checkpoint.

    Args:
        checkpoint (dict): A checkpoint with ``state_dict``, or only the
            weights, see :func:`read_checkpoint`.
        path (str | Path): The file, for messages.

    Returns:
        dict[str, Tensor]: The weights, without the ``module.`` that a model
        wrapped for several processes puts before each name.

    Raises:
        SoCoError: If there are none.
    """
    weights = checkpoint.get('state_dict')
    if (
        weights is None
        and checkpoint
        and all(isinstance(value, Tensor) for value in checkpoint.values())
    ):
        weights = checkpoint
    if not isinstance(weights, dict):
        keys = [str(key) for key in checkpoint]
        others = f' and {len(keys) - 3} more' * (len(keys) > 3)
        hint = ''
        if isinstance(checkpoint.get('model'), dict):
            hint = (
                " If it is one of the authors' released code, turn it "
                'into one of this plugin first: soco-mm import.'
            )
        raise SoCoError(
            f'{path} holds no "state_dict", only '
            f'{", ".join(keys[:3]) or "nothing"}{others}.{hint}'
        )
    for name, value in weights.items():
        if not isinstance(value, Tensor):
            raise SoCoError(
                f'{path} is not a checkpoint of a model: {name} is not a tensor.'
            )
    return {str(name).removeprefix(PREFIX): value for name, value in weights.items()}


def checkpoint_bytes(checkpoint: dict) -> bytes:
    """A checkpoint as PyTorch writes it."""
    stream = io.BytesIO()
    torch.save(checkpoint, stream)
    return stream.getvalue()


def write_checkpoint(path: str | Path, checkpoint: dict) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    Args:
        path (str | Path): The file.
        checkpoint (dict): What to write.

    Raises:
        UsageError: If it cannot be written.
    """
    try:
        atomic_write(path, checkpoint_bytes(checkpoint))
    except OSError as error:
        raise UsageError(f'{path} cannot be written ({error.strerror}).') from None
