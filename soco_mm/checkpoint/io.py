import io
from pathlib import Path
from typing import Union

import torch

from soco_mm.utils import SoCoError, UsageError, atomic_write
from soco_mm.utils.finite import non_finite


def read_checkpoint(path: Union[str, Path], allowed: tuple = ()) -> dict:
    """Read a checkpoint, tensors and plain data alone, onto the CPU.

    Args:
        path (str | Path): The file.
        allowed (tuple): Classes of plain data that it may hold besides.
            Defaults to ().

    Returns:
        dict: What it holds.

    Raises:
        UsageError: If there is no such file.
        SoCoError: If it is not a checkpoint, is truncated, holds objects
            that would run code when loaded, or NaN or infinity.
    """
    path = Path(path)
    if path.is_dir():
        raise UsageError(f'{path} is a folder. Name a checkpoint in it.')
    if not path.is_file():
        raise UsageError(f'There is no checkpoint {path}.')
    try:
        with torch.serialization.safe_globals(list(allowed)):
            checkpoint = torch.load(
                path, map_location='cpu', weights_only=True)
    except Exception as error:  # PyTorch has no type for a bad file
        reason = str(error)
        if 'weights_only' in reason or 'Unsupported' in reason:
            raise SoCoError(
                f'{path} holds more than tensors and plain data, which is not '
                'loaded since it could run code.') from None
        raise SoCoError(
            f'{path} is not a checkpoint, or is truncated.') from None
    if not isinstance(checkpoint, dict):
        raise SoCoError(f'{path} holds no dictionary of weights.')
    # What the optimiser has gathered matters where a training is resumed.
    check_finite(
        {
            key: value
            for key, value in checkpoint.items() if key != 'optimizer'
        }, path)
    return checkpoint


def check_finite(values: dict, path: Union[str, Path]) -> None:
    """Refuse NaN and infinity.

    Args:
        values (dict): Tensors, nested as you like.
        path (str | Path): The file that they are of.

    Raises:
        SoCoError: If a tensor holds one; it is named.
    """
    if wrong := non_finite(values):
        name = wrong[0].removeprefix('state_dict.').removeprefix('model.')
        more = f' and {len(wrong) - 1} more tensors' * (len(wrong) > 1)
        raise SoCoError(f'{path} holds NaN or infinity in {name}{more}. Take '
                        'an earlier checkpoint of that training.')


def write_checkpoint(path: Union[str, Path], checkpoint: dict) -> None:
    """Write a checkpoint; the file appears whole or not at all.

    Args:
        path (str | Path): The file.
        checkpoint (dict): What to write.

    Raises:
        UsageError: If it cannot be written.
    """
    stream = io.BytesIO()
    torch.save(checkpoint, stream)
    try:
        atomic_write(path, stream.getvalue())
    except OSError as error:
        raise UsageError(
            f'{path} cannot be written ({error.strerror}).') from None
