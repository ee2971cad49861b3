"""A file of weights of any kind that people have, recognised by its content."""

import io
import json
import pickle
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from soco_mm.utils import SoCoError, UsageError

from .io import PREFIX, check_finite, read_checkpoint

# Plain data in checkpoints of MMEngine, torchvision and the authors' code that
# is of classes PyTorch does not load. They are not made: Nothing stands for them.
NOT_LOADED = (
    'mmengine.logging.history_buffer.HistoryBuffer',
    'argparse.Namespace',
    'builtins.getattr',  # MMEngine's log of a training names functions by it
    'numpy.dtype',
    'numpy.ndarray',
    *(
        f'numpy.{core}.multiarray.{name}'
        for core in ('core', '_core')
        for name in ('_reconstruct', 'scalar')
    ),
)
# What a pickle of NumPy arrays needs.
ARRAYS = {
    (module, name)
    for core in ('core', '_core')
    for module, name in (
        (f'numpy.{core}.multiarray', '_reconstruct'),
        (f'numpy.{core}.multiarray', 'scalar'),
        ('numpy', 'ndarray'),
        ('numpy', 'dtype'),
        ('_codecs', 'encode'),
        ('collections', 'OrderedDict'),
    )
}
# Where a checkpoint keeps its weights.
WEIGHTS_KEYS = ('state_dict', 'model', 'model_state_dict', 'model_state')
# The authors' released code has these two encoders, as PixPro's has, and this layer.
RELEASED = re.compile(r'(module\.)?encoder(_k)?\.')
PROJECTOR = re.compile(r'(module\.)?projector\.linear1\.')


class Nothing:
    """Stands for an object that is not loaded."""

    def __init__(self, *args) -> None:
        pass

    def __setstate__(self, state) -> None:
        pass


class ArrayUnpickler(pickle.Unpickler):
    """Read a pickle of NumPy arrays; anything else in it is not loaded."""

    def find_class(self, module: str, name: str):
        """Find what makes arrays.

        Raises:
            SoCoError: If the pickle asks for something else.
        """
        if (module, name) not in ARRAYS:
            raise SoCoError(f'{module}.{name}')
        return super().find_class(module, name)


@dataclass
class WeightsFile:
    """Weights under the names that their library gives them.

    Attributes:
        path (str): The file.
        weights (dict[str, Tensor]): The weights.
        content (dict): What else it holds.
        is_pickle (bool): Whether it is a pickle of arrays, as in detectron2's
            model zoo. Defaults to False.
    """

    path: str
    weights: dict[str, Tensor]
    content: dict = field(default_factory=dict)
    is_pickle: bool = False

    @property
    def is_released(self) -> bool:
        """bool: Whether it is a checkpoint of the authors' released code."""
        found = [match for name in self.weights if (match := RELEASED.match(name))]
        # MoCo has a target's alone.
        two = len({match[2] for match in found}) == 2
        return two and any(map(PROJECTOR.match, self.weights))


def read_weights(path: str | Path) -> WeightsFile:
    """Read a file of weights; nothing in it is run.

    It may be a checkpoint of PyTorch, whatever library it is from, a file of
    safetensors, or a pickle of NumPy arrays as in detectron2's model zoo.

    Args:
        path (str | Path): The file; its suffix does not matter.

    Returns:
        WeightsFile: The weights, on the CPU.

    Raises:
        UsageError: If there is no such file.
        SoCoError: If it is none of these, is truncated, holds no weights or
            objects that could run code, or NaN or infinity.

    Example:
        >>> import tempfile, torch
        >>> from soco_mm.checkpoint.weights_file import read_weights
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     torch.save({'fc.weight': torch.ones(2)}, file.name)
        ...     list(read_weights(file.name).weights)
        ['fc.weight']
    """
    path = Path(path).expanduser()
    if path.is_file():
        with path.open('rb') as stream:
            start = stream.read(9)
        if start[8:] == b'{':  # after the length of its header
            return read_safetensors(path)
        # PyTorch's own pickles, of before its zip files, hold its magic number.
        if start[:1] == b'\x80' and not is_torch_pickle(path):
            return read_pickle(path)
    allowed = [(Nothing, name) for name in NOT_LOADED]
    content = read_checkpoint(path, tuple(allowed))
    return WeightsFile(str(path), find_weights(content, path), content)


def is_torch_pickle(path: Path) -> bool:
    """Whether a pickle is a checkpoint as PyTorch wrote them before 1.6."""
    with path.open('rb') as stream:
        start = stream.read(64)
    return torch.serialization.MAGIC_NUMBER.to_bytes(10, 'little') in start


def find_weights(content: dict, path: str | Path) -> dict[str, Tensor]:
    """The weights in a checkpoint, without ``module.`` before each name.

    Raises:
        SoCoError: If there are none.
    """
    places = [
        content[key] for key in WEIGHTS_KEYS if isinstance(content.get(key), dict)
    ]
    for place in [*places, content]:
        found = {
            str(name).removeprefix(PREFIX): value
            for name, value in place.items()
            if isinstance(value, Tensor)
        }
        if found:
            return found
    keys = ', '.join(map(str, list(content)[:3])) or 'nothing'
    raise SoCoError(
        f'{path} holds no weights of a model, only {keys}. Give the file that holds '
        f'them, under one of {", ".join(WEIGHTS_KEYS)} or as they are.'
    )


def read_safetensors(path: Path) -> WeightsFile:
    """Read a file of safetensors.

    Raises:
        UsageError: If safetensors is not installed.
        SoCoError: If it is not one, or is truncated.
    """
    try:
        from safetensors import safe_open
    except ImportError:
        raise UsageError(
            f'{path} is a file of safetensors, whose package is not installed: '
            'pip install safetensors'
        ) from None
    try:
        with safe_open(path, 'pt') as stream:
            weights = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
            meta = stream.metadata() or {}
    except Exception as error:  # its error is of a Rust library
        raise SoCoError(
            f'{path} is not a file of safetensors, or is truncated ({error}).'
        ) from None
    check_finite(weights, path)
    content: dict = dict(meta=meta)
    if 'model' in meta:  # as this plugin writes it
        try:
            content['meta'] = dict(model=json.loads(meta['model']))
        except ValueError:
            pass
    return WeightsFile(str(path), find_weights(weights, path), content)


def read_pickle(path: Path) -> WeightsFile:
    """Read a pickle of NumPy arrays; no other object in it is made.

    Raises:
        SoCoError: If it holds other objects, or is truncated.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of an old name of NumPy's
            stream = io.BytesIO(path.read_bytes())
            content = ArrayUnpickler(stream, encoding='latin1').load()
    except SoCoError as error:
        raise SoCoError(
            f'{path} holds more than arrays and plain data ({error}), which is '
            'not loaded since it could run code.'
        ) from None
    except Exception:  # pickle has no type for a bad file
        raise SoCoError(f'{path} is not a pickle of arrays, or is truncated.') from None
    if not isinstance(content, dict):
        raise SoCoError(f'{path} holds no dictionary of weights.')
    found = content.get('model') if isinstance(content.get('model'), dict) else content
    arrays = {
        name: torch.from_numpy(np.array(value))
        for name, value in found.items()
        if isinstance(value, np.ndarray) and value.dtype.kind in 'fiu'
    }
    check_finite(arrays, path)
    rest = {key: value for key, value in content.items() if key != 'model'}
    return WeightsFile(str(path), find_weights(arrays, path), rest, is_pickle=True)
