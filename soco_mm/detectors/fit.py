"""Pretrained weights in a detector."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from torch import nn

from soco_mm.checkpoint import (
    TransferReport,
    compare_tensors,
    detector_weights,
    explain_mismatch,
    match_names,
)
from soco_mm.checkpoint.transfer import PARTS, PartReport
from soco_mm.detectors.build import build_detector, class_of
from soco_mm.detectors.features import (
    check_pixels,
    compare_features,
    frozen_notes,
    load_input,
    start_level,
)
from soco_mm.detectors.inheriting import inheriting_config
from soco_mm.detectors.mask_rcnn import detector_config
from soco_mm.detectors.stretching import stretch_detector
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError

WEIGHTS = 'soco_weights.pth'
REPORT = 'report.json'
# With its last stage, which is the head of models on C4.
BACKBONE = (PARTS['backbone'], PARTS['shared head'])
# Of the tensors of a pretrained part. An FPN may have levels above those of
# the backbone, such as P6 and P7.
LEAST_FILLED = {'backbone': 0.9, 'neck': 0.5, 'shared head': 0.9}


def exported_config(folder: str | Path) -> str:
    """Name of the detector's config in an export, empty if it is none."""
    try:
        report = json.loads(Path(folder, REPORT).read_text())
        return Path(report['config']).name
    except (OSError, ValueError, KeyError, TypeError):
        return ''


def fit_detector(
    pretrained: nn.Module,
    model: Config,
    folder: Path,
    image: torch.Tensor,
    detector: str | Path | None,
    adapt: bool,
    backbone_only: bool,
    stretch: Sequence[float] | None = None,
) -> tuple:
    """Write a detector's config, fill it, and compare its features.

    Returns:
        tuple: Name of the config in the folder, the report, and the weights
        that were used, by the detector's names.

    Raises:
        UsageError: If the detector cannot be built.
        SoCoError: If the model does not fit it.
    """
    if detector is None:
        name, text = detector_config(model, WEIGHTS)
    else:
        name, text = inheriting_config(detector, model, WEIGHTS, adapt)
    (folder / name).write_text(text)
    if stretch is not None:
        stretch_detector(folder / name, stretch)
    built = build_detector(folder / name, detector)
    weights = detector_weights(pretrained.state_dict())
    kept = {
        key: value
        for key, value in weights.items()
        if not backbone_only or key.startswith(BACKBONE)
    }
    matched, left_out = match_names(
        kept, built.state_dict(), start_level(built), start_level(pretrained)
    )
    report = fill(built, matched, pretrained)
    report.unused = left_out + [key for key in weights if key not in kept]
    if detector is not None:
        check_pixels(pretrained, built)
    report.max_difference = compare_features(
        pretrained, built, image, not backbone_only
    )
    report.notes = frozen_notes(built)
    return name, report, matched


def check_detector(
    model: Config,
    detector: str | Path,
    adapt: bool = False,
    backbone_only: bool = False,
    stretch: Sequence[float] | None = None,
) -> None:
    """Refuse a detector that a model will not fit, before it is trained.

    Args:
        model (Config): The ``model`` of the pretraining's config.
        detector (str | Path): See :func:`export_detector`.
        adapt (bool): See :func:`export_detector`.
        backbone_only (bool): See :func:`export_detector`.
        stretch (Sequence[float], optional): How it is to reduce images of
            more than 8 bits. Defaults to None, as it does.

    Raises:
        UsageError: If the detector's config cannot be read or built.
        SoCoError: If the model does not fit it.
    """
    net = revert_sync_batchnorm(MODELS.build(model)).eval()
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            # As after a training: what all norms start with would hide that
            # they are others, and the zeros of the last ones whole blocks.
            for values in (module.weight.data, module.running_var):
                values.uniform_(0.5, 1, generator=generator)
            for values in (module.bias.data, module.running_mean):
                values.normal_(generator=generator)
    with tempfile.TemporaryDirectory() as folder:
        fit_detector(
            net,
            model,
            Path(folder),
            load_input(None),
            detector,
            adapt,
            backbone_only,
            stretch,
        )


def fill(detector: nn.Module, weights: dict, pretrained: nn.Module) -> TransferReport:
    """Fill a detector and report; refuse one that is filled by half.

    Args:
        detector (nn.Module): The detector.
        weights (dict): Pretrained weights by its names.
        pretrained (nn.Module): The model that they are of.

    Returns:
        TransferReport: What was filled.

    Raises:
        SoCoError: If a part that was pretrained does not fit.
    """
    state = detector.state_dict()
    report = compare_tensors(state, weights)
    for name, least in LEAST_FILLED.items():
        part = report.parts.get(name, PartReport())
        prefix = PARTS[name]
        number = sum(key.startswith(prefix) for key in weights)
        if name != 'backbone' and not number:
            continue  # it starts anew, which the report says
        lost = any(key.startswith(prefix) for key in report.unused)
        filled = len(part.filled)
        if lost or part.shape_differs or filled < least * part.total:
            kinds = tuple(class_of(net, prefix[:-1]) for net in (pretrained, detector))
            reason = explain_mismatch(weights, state, prefix, kinds)
            if name == 'neck' and '--adapt' not in reason:
                reason += '. --backbone-only hands over the backbone alone'
            raise SoCoError(
                f'The weights do not fit the detector: of {number} pretrained '
                f'tensors of the {name} {filled} have a place, and it has '
                f'{part.total}. Probably {reason}.'
            )
    detector.load_state_dict(weights, strict=False)
    return report
