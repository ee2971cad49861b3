"""Pretrained weights as files of other libraries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from soco_mm.checkpoint.config_text import plain_data
from soco_mm.checkpoint.handed_over import keep_parts, nothing_left
from soco_mm.checkpoint.io import checkpoint_bytes
from soco_mm.checkpoint.libraries import (
    backbone_type,
    detectron2_pickle,
    detectron2_settings,
    detectron2_weights,
    mmpretrain_weights,
    pixel_statistics,
    safetensors_bytes,
    split_parts,
    timm_model,
    timm_weights,
    torchvision_weights,
)
from soco_mm.checkpoint.libraries.pixels import pixel_note
from soco_mm.checkpoint.pretrained import Pretrained
from soco_mm.checkpoint.transfer import PARTS
from soco_mm.utils import SoCoError, atomic_write
from soco_mm.version import __version__


class Library(NamedTuple):
    """How weights become a file of another library.

    Attributes:
        suffix (str): Suffix of the file.
        convert (Callable): Takes weights by part and the model's config;
            returns the weights to write, by part and full name.
        dump (Callable): Takes weights by name and the model's config; returns
            the bytes of the file.
        note (Callable): Takes the model's config and the file; returns a
            sentence for the report.
        settings (Callable, optional): Takes weights by part and the model's
            config; returns the text of a YAML file beside it.
    """

    suffix: str
    convert: Callable
    dump: Callable
    note: Callable
    settings: Callable | None = None

    def files(self, out: Path) -> list[Path]:
        """The files that are written."""
        return [out, out.with_suffix('.yaml')] if self.settings else [out]


def as_they_are(parts: dict, model: dict) -> dict:
    """The weights unchanged: they have MMDetection's names."""
    return {
        part: {PARTS[part] + name: value for name, value in weights.items()}
        for part, weights in parts.items()
    }


def mmpretrain_note(model: dict, out: Path) -> str:
    """What the file is for, and what a Swin needs in addition."""
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


def torch_file(weights: dict[str, Tensor], model: dict) -> bytes:
    """A state dict as PyTorch writes it."""
    return checkpoint_bytes(weights)


def mmpretrain_file(weights: dict[str, Tensor], model: dict) -> bytes:
    """A checkpoint as MMEngine reads it."""
    meta = dict(soco_mm_version=__version__, model=model)
    return checkpoint_bytes(dict(meta=meta, state_dict=weights))


TAKING_RGB = ('torchvision', 'timm')
LIBRARIES = {
    'detectron2': Library(
        '.pkl',
        detectron2_weights,
        lambda weights, model: detectron2_pickle(weights),
        lambda model, out: (
            f'Merge {out.with_suffix(".yaml")} into a config of detectron2.'
        ),
        detectron2_settings,
    ),
    'torchvision': Library(
        '.pth',
        torchvision_weights,
        torch_file,
        lambda model, out: (
            'It fits detectors with an FPN with batch norm, such as '
            'maskrcnn_resnet50_fpn_v2.'
        ),
    ),
    'safetensors': Library(
        '.safetensors',
        as_they_are,
        lambda weights, model: safetensors_bytes(weights, __version__, model),
        lambda model, out: "The names are MMDetection's.",
    ),
    'mmpretrain': Library('.pth', mmpretrain_weights, mmpretrain_file, mmpretrain_note),
    'timm': Library('.pth', timm_weights, torch_file, timm_note),
}


@dataclass
class LibraryReport:
    """What was written from a checkpoint.

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
        """As a table to print."""
        lines = ['part            written  left out']
        lines += [
            f'{part:15s} {self.written.get(part, 0):7d}  '
            f'{self.left_out.get(part, 0):8d}'
            for part in dict.fromkeys([*self.written, *self.left_out])
        ]
        total = sum(self.written.values())
        lines.append(f'{self.path}: {total} tensors. {self.note}')
        return '\n'.join(lines)


def write_weights(
    pretrained: Pretrained,
    library: str,
    out: Path,
    handed_over: Sequence[str] | None = None,
) -> LibraryReport:
    """Write pretrained weights as a file of another library.

    Args:
        pretrained (Pretrained): The model.
        library (str): One of ``LIBRARIES``.
        out (Path): The file.
        handed_over (Sequence[str], optional): The parts to write, see
            :func:`read_parts`. Defaults to None, those of the recipe.

    Returns:
        LibraryReport: What was written, and what was left out.

    Raises:
        SoCoError: If the weights are not of the model, or the library has no
            such model; then nothing is written.
    """
    _ = pretrained.net  # the weights fill all of it
    kind, model = LIBRARIES[library], plain_data(pretrained.model)
    if library in TAKING_RGB and not pixel_statistics(model)['bgr_to_rgb']:
        raise SoCoError(
            f'The model was pretrained on BGR images, as its detector takes them, but '
            f'{library} takes RGB. Choose the format safetensors.'
        )
    chosen = handed_over or pretrained.handed_over
    kept, _ = keep_parts(pretrained.weights, chosen, pretrained.source)
    parts = split_parts(kept)
    converted = kind.convert(parts, model)
    if not any(converted.values()):
        raise nothing_left(f'A file for {library}', chosen)
    atomic_write(out, kind.dump(join_parts(converted), model))
    if kind.settings:
        atomic_write(out.with_suffix('.yaml'), kind.settings(parts, model))
    written = {part: len(entries) for part, entries in converted.items()}
    left_out = {
        part: len(entries) - written.get(part, 0)
        for part, entries in split_parts(pretrained.weights).items()
    }
    return LibraryReport(
        str(out),
        written,
        {key: n for key, n in left_out.items() if n} | pretrained.left_out,
        kind.note(model, out) + pixel_note(model, library),
    )


def join_parts(parts: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """All weights of the parts, each in its own memory.

    A view would be written with all the memory it is a view of, and
    safetensors refuses shared memory.
    """
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for entries in parts.values()
        for name, value in entries.items()
    }
