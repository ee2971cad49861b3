import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.visualization import LocalVisBackend

from soco_mm.registry import VISBACKENDS
from soco_mm.utils import UsageError
from soco_mm.utils.files import finite_or_none

from .disk import SayOnce


@VISBACKENDS.register_module()
class JSONVisBackend(LocalVisBackend):
    """MMEngine's backend, whose ``scalars.json`` stays JSON.

    JSON has neither NaN nor infinity; they are written as null. A file that
    cannot be written does not stop a training.
    """

    unwritten: SayOnce | None = None

    def add_scalars(self, scalar_dict: dict, *args, **kwargs) -> None:
        """Write a line; the health of a training has a file of its own."""
        if not all(name.startswith('health/') for name in scalar_dict):
            super().add_scalars(scalar_dict, *args, **kwargs)

    def _dump(self, value_dict: dict, file_path: str, file_format: str) -> None:
        try:
            end_line(file_path)
            super()._dump(finite_or_none(value_dict), file_path, file_format)
        except OSError:
            self.unwritten = self.unwritten or SayOnce(file_path)
            self.unwritten()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of scalars; a line that was cut off is left out."""
    for line in path.read_text(encoding='utf-8', errors='replace').splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row


def end_line(path: str) -> None:
    """End a line that a kill or a full disk has cut off."""
    if not os.path.isfile(path):
        return
    with open(path, 'rb+') as stream:
        if stream.seek(0, os.SEEK_END):
            stream.seek(-1, os.SEEK_END)
            if stream.read() != b'\n':
                stream.write(b'\n')


def log_to_tensorboard(cfg: Config) -> None:
    """Write the scalars of a training for TensorBoard, beside the JSON file.

    Args:
        cfg (Config): The config of the training; changed in place.

    Raises:
        UsageError: If TensorBoard is not installed.
    """
    if importlib.util.find_spec('tensorboard') is None:
        raise UsageError('TensorBoard is not installed: pip install tensorboard')
    cfg.visualizer.vis_backends.append(dict(type='TensorboardVisBackend'))
