from pathlib import Path

from mmengine.config import Config

from soco_mm.checkpoint import (
    TransferReport,
    detector_weights,
    read_checkpoint,
    state_dict_of,
    write_checkpoint,
)
from soco_mm.checkpoint.model_config import model_of
from soco_mm.checkpoint.pretrained import build_pretrained, stretch_of
from soco_mm.detectors.features import load_input
from soco_mm.detectors.fit import REPORT, WEIGHTS, exported_config, fit_detector
from soco_mm.detectors.mask_rcnn import plain
from soco_mm.utils import UsageError, atomic_folder, check_replaceable, write_json
from soco_mm.version import __version__


def export_detector(
    cfg: Config | None,
    checkpoint: str | Path,
    out: str | Path,
    image: str | Path | None = None,
    detector: str | Path | None = None,
    adapt: bool = False,
    backbone_only: bool = False,
) -> TransferReport:
    """Hand a pretrained model over to MMDetection.

    Writes a folder with the weights that a detector can use, by its own
    names; a config of the detector that loads them; and ``report.json``.

    Args:
        cfg (Config, optional): The config of the pretraining. None for the
            one in the checkpoint.
        checkpoint (str | Path): A checkpoint of that training.
        out (str | Path): The folder to write; an earlier export is replaced.
        image (str | Path, optional): The image on which features are
            compared. Defaults to None, noise.
        detector (str | Path, optional): The MMDetection config of the
            detector, a path or ``mmdet::...``. Defaults to None, the Mask
            R-CNN that the model was made for.
        adapt (bool): Give that detector the norm layers and the
            normalisation of images that the pretrained model has. Defaults
            to False.
        backbone_only (bool): Fill its backbone alone, for detectors without
            an FPN or with another neck. Defaults to False.

    Returns:
        TransferReport: Which tensors of the detector were filled; its
        ``config`` is the path of the detector's config.

    Raises:
        UsageError: If the detector's config cannot be read or built, or
            something would be lost that is in the folder.
        SoCoError: If the checkpoint is not of this config, or something that
            should match does not; then nothing is written.
    """
    out = Path(out).resolve()
    check_out(out, detector)
    read = read_checkpoint(checkpoint)
    model = cfg.model if cfg is not None else model_of(read, checkpoint)
    stretch = stretch_of(read, cfg)
    weights = detector_weights(state_dict_of(read, checkpoint))
    pretrained = build_pretrained(model, weights, checkpoint)
    with atomic_folder(out) as partial:
        name, report, kept = fit_detector(
            pretrained,
            model,
            partial,
            load_input(image),
            detector,
            adapt,
            backbone_only,
            stretch,
        )
        report.config = str(out / name)
        write_checkpoint(
            partial / WEIGHTS,
            dict(
                meta=dict(
                    soco_mm_version=__version__,
                    checkpoint=Path(checkpoint).name,
                    stretch=stretch and list(stretch),
                    model=plain(model),
                ),
                state_dict=kept,
            ),
        )
        write_json(partial / REPORT, report.to_dict())
    return report


def check_out(out: Path, detector: str | Path | None) -> None:
    """Refuse a folder that holds more than an earlier export.

    Raises:
        UsageError: If it does, or is none.
    """
    check_replaceable(out, WEIGHTS, 'an export')
    if detector is not None and out in Path(detector).resolve().parents:
        raise UsageError(
            f'The config {detector} of the detector lies in '
            f'{out}, which is replaced. Choose another --out.'
        )
    if not out.exists():
        return
    own = {WEIGHTS, REPORT, exported_config(out)}
    others = {each.name for each in out.iterdir()} - own
    if others:
        raise UsageError(
            f'{out} holds {min(others)} besides an export, which '
            'would be lost. Choose another --out.'
        )
