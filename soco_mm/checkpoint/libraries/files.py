"""Pretrained weights as files of other libraries."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from soco_mm.checkpoint import write_checkpoint
from soco_mm.checkpoint.libraries import (
    backbone_type,
    detectron2_pickle,
    detectron2_settings,
    detectron2_weights,
    mmpretrain_weights,
    safetensors_bytes,
    timm_model,
    timm_weights,
    torchvision_weights,
)
from soco_mm.checkpoint.transfer import PARTS
from soco_mm.utils import UsageError, atomic_write, make_writable
from soco_mm.version import __version__

# What no detector has a place for, and how its names begin.
PRETEXT = {
    'target network': 'target_net.',
    'projector': 'projector.',
    'predictor': 'head.',
}


class Format(NamedTuple):
    """How weights become a file.

    Attributes:
        suffix (str): That of the file.
        convert (Callable): Takes weights by part and the model's config;
            returns the weights to write, by part and full name.
        note (Callable): Takes the model's config and the file; returns a
            sentence for the report.
    """

    suffix: str
    convert: Callable
    note: Callable


def as_they_are(parts: dict, model: dict) -> dict:
    """Weights by MMDetection's names, which they have."""
    return {
        part: {PARTS[part] + name: value for name, value in weights.items()}
        for part, weights in parts.items()
    }


def mmpretrain_note(model: dict, out: Path) -> str:
    """What the file is for, and what a Swin needs besides."""
    note = 'It fits MMPretrain and MMClassification.'
    if backbone_type(model) == 'SwinTransformer':
        note += (
            ' Set pad_small_map=True there, which makes it shift the '
            'windows of small maps as MMDetection does.'
        )
    return note


def timm_note(model: dict, out: Path) -> str:
    """Which model the file is for, and where a Swin differs."""
    note = f'It fits {timm_model(model)} of timm.'
    if backbone_type(model) == 'SwinTransformer':
        note += (
            ' On maps no larger than a window (the last stage of a '
            '224-pixel image) timm does not shift the windows, which '
            'MMDetection does; larger images compute the same.'
        )
    return note


FORMATS = {
    'detectron2': Format(
        '.pkl',
        detectron2_weights,
        lambda model, out: (
            f'Merge {out.with_suffix(".yaml")} into a config of detectron2.'
        ),
    ),
    'torchvision': Format(
        '.pth',
        torchvision_weights,
        lambda model, out: (
            'It fits detectors with an FPN with batch norm, such as '
            'maskrcnn_resnet50_fpn_v2.'
        ),
    ),
    'safetensors': Format(
        '.safetensors', as_they_are, lambda model, out: "The names are MMDetection's."
    ),
    'mmpretrain': Format('.pth', mmpretrain_weights, mmpretrain_note),
    'timm': Format('.pth', timm_weights, timm_note),
}


@dataclass
class FormatReport:
    """What was written of a checkpoint.

    Attributes:
        path (str): The file.
        written (dict[str, int]): Number of tensors written, by part.
        left_out (dict[str, int]): Number of those left out, by part.
        note (str): What the file is for.
    """

    path: str
    written: dict[str, int]
    left_out: dict[str, int]
    note: str

    def describe(self) -> str:
        """As a table for people."""
        lines = ['part            written  left out']
        lines += [
            f'{part:15s} {self.written.get(part, 0):7d}  '
            f'{self.left_out.get(part, 0):8d}'
            for part in dict.fromkeys([*self.written, *self.left_out])
        ]
        total = sum(self.written.values())
        lines.append(f'{self.path}: {total} tensors. {self.note}')
        return '\n'.join(lines)


def check_files(out: Path, format_: str) -> list:
    """Files that will be written; none may be there.

    Raises:
        UsageError: If one is, or cannot be.
    """
    suffix = FORMATS[format_].suffix
    if out.suffix != suffix:
        raise UsageError(
            f'--out of the format {format_} is a file that ends '
            f'in {suffix}, but got {out}.'
        )
    files = [out]
    if format_ == 'detectron2':
        files.append(out.with_suffix('.yaml'))
    for file in files:
        if file.exists():
            raise UsageError(
                f'{file} is there already. Choose another name, or remove it.'
            )
    make_writable(out.parent)
    return files


def write(
    file: Path, format_: str, weights: dict[str, Tensor], parts: dict, model: dict
) -> None:
    """Write one file of a format."""
    if file.suffix == '.yaml':
        atomic_write(file, detectron2_settings(parts, model))
    elif format_ == 'detectron2':
        atomic_write(file, detectron2_pickle(weights))
    elif format_ == 'safetensors':
        atomic_write(file, safetensors_bytes(weights, __version__, model))
    elif format_ == 'mmpretrain':
        meta = dict(soco_mm_version=__version__, model=model)
        write_checkpoint(file, dict(meta=meta, state_dict=weights))
    else:
        write_checkpoint(file, weights)


def flatten(parts: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """All weights of the parts, each in a memory of its own.

    A view would be written with all of the memory it is a view of, and
    safetensors refuses memory that is shared.
    """
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for entries in parts.values()
        for name, value in entries.items()
    }
