"""Pretrained weights for detectors of MMDetection and other libraries."""

from collections.abc import Sequence
from pathlib import Path

from soco_mm.checkpoint import TransferReport, write_checkpoint
from soco_mm.checkpoint.config_text import plain_data
from soco_mm.checkpoint.handed_over import given_parts, parts_of, read_parts
from soco_mm.checkpoint.libraries.files import LIBRARIES, LibraryReport, write_weights
from soco_mm.checkpoint.pretrained import Pretrained
from soco_mm.checkpoint.provenance import PROVENANCE, copy_provenance
from soco_mm.detectors.fit import (
    REPORT,
    WEIGHTS,
    HandOff,
    exported_config,
    fit_detector,
)
from soco_mm.engine.config import ConfigSource, as_config
from soco_mm.utils import UsageError, atomic_folder, did_you_mean, write_json
from soco_mm.utils.claim import claim
from soco_mm.version import __version__


def export_detector(
    checkpoint: str | Path,
    out: str | Path,
    *,
    config: ConfigSource = None,
    detector: str | Path | None = None,
    adapt: bool = False,
    backbone_only: bool = False,
    parts: str | Sequence[str] | None = None,
    image: str | Path | None = None,
) -> TransferReport:
    """Export a pretrained model to MMDetection.

    Writes a folder with the weights that a detector can use, under its own
    names; a config of the detector that loads them; ``report.json``; and a copy of
    the run's ``provenance.json``.

    Args:
        checkpoint (str | Path): A checkpoint of a pretraining.
        out (str | Path): The folder to write; an earlier export is replaced.
        config (Config | str | Path, optional): The config of the pretraining,
            or its name under ``configs/soco``. Defaults to None, the one in
            the checkpoint.
        detector (str | Path, optional): The MMDetection config of the
            detector, a path or ``mmdet::...``. Defaults to None, the Mask
            R-CNN that the model was made for.
        adapt (bool): Give that detector the norm layers and the
            normalisation of images that the pretrained model has. Defaults
            to False.
        backbone_only (bool): Fill only its backbone, for detectors without
            an FPN or with another neck. Defaults to False.
        parts (str | Sequence[str], optional): Fill only these parts, of
            ``backbone``, ``neck``, ``head`` and ``rpn``, or ``all``. Defaults
            to None, those that the recipe hands over.
        image (str | Path, optional): The image on which features are
            compared. Defaults to None, noise.

    Returns:
        TransferReport: Which tensors of the detector were filled; its
        ``config`` is the path of the detector's config.

    Raises:
        UsageError: If the detector's config cannot be read or built, or
            something in the folder would be lost.
        SoCoError: If the checkpoint is not of this config, or something that
            should match does not; then nothing is written.
    """
    handoff = HandOff(detector, adapt, given_parts(parts, backbone_only))
    out = Path(out).resolve()
    files = {WEIGHTS, REPORT, PROVENANCE, exported_config(out)}
    claim(out, 'an export', WEIGHTS, files=files)
    if detector is not None and out in Path(detector).resolve().parents:
        raise UsageError(
            f'The config {detector} of the detector is in {out}, which is replaced. '
            'Choose another --out.'
        )
    pretrained = Pretrained.read(checkpoint, as_config(config))
    stretch = pretrained.stretch
    with atomic_folder(out) as partial:
        fitted = fit_detector(pretrained, partial, handoff, image)
        report = fitted.report
        report.config = str(out / fitted.config)
        meta = dict(
            soco_mm_version=__version__,
            checkpoint=Path(checkpoint).name,
            stretch=stretch and list(stretch),
            parts=parts_of(fitted.weights),
            model=plain_data(pretrained.model),
        )
        write_checkpoint(partial / WEIGHTS, dict(meta=meta, state_dict=fitted.weights))
        write_json(partial / REPORT, report.to_dict())
        copy_provenance(checkpoint, partial)
    return report


def export_weights(
    checkpoint: str | Path,
    out: str | Path,
    *,
    format: str,
    config: ConfigSource = None,
    parts: str | Sequence[str] | None = None,
) -> LibraryReport:
    """Write pretrained weights as a file of another library.

    Args:
        checkpoint (str | Path): A checkpoint of a pretraining, or exported
            weights.
        out (str | Path): The file to write. Detectron2 also gets a YAML file
            of the same name; the run's provenance is ``FILE.provenance.json``.
        format (str): The library, one of ``LIBRARIES``.
        config (Config | str | Path, optional): The config of the pretraining,
            or its name under ``configs/soco``. Defaults to None, the one in
            the checkpoint.
        parts (str | Sequence[str], optional): Only these parts, see
            :func:`export_detector`. Defaults to None, those that the recipe
            hands over.

    Returns:
        LibraryReport: What was written, and what was left out.

    Raises:
        UsageError: If the format is unknown, or the file has another suffix,
            already exists, or cannot be written.
        SoCoError: If the checkpoint is not of this config, or the other
            library has no such model; then nothing is written.
    """
    if format not in LIBRARIES:
        raise UsageError(
            f'There is no format {format}.{did_you_mean(format, LIBRARIES)} '
            f'Choose {", ".join(LIBRARIES)}.'
        )
    library, out, parts = LIBRARIES[format], Path(out), read_parts(parts)
    for file in library.files(out):
        claim(
            file,
            f'weights for {format}',
            Path.exists,
            suffix=library.suffix if file is out else file.suffix,
            replace=False,
            advice='Choose another name, or remove it.',
        )
    pretrained = Pretrained.read(checkpoint, as_config(config))
    report = write_weights(pretrained, format, out, parts)
    copy_provenance(checkpoint, out)
    return report
