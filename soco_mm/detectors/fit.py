"""Pretrained weights in a detector."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from torch import Tensor, nn

from soco_mm.checkpoint import (
    TransferReport,
    compare_tensors,
    explain_mismatch,
    match_names,
)
from soco_mm.checkpoint.handed_over import (
    PARTS_BY_NAME,
    check_trained,
    keep_parts,
    nothing_left,
)
from soco_mm.checkpoint.matching import DENSE_HEAD
from soco_mm.checkpoint.pretrained import Pretrained
from soco_mm.checkpoint.transfer import PARTS, PartReport
from soco_mm.detectors.build import build_detector, class_of
from soco_mm.detectors.features import (
    check_normalization,
    compare_features,
    frozen_notes,
    load_input,
    start_level,
    start_notes,
)
from soco_mm.detectors.inheriting import inheriting_config
from soco_mm.detectors.mask_rcnn import detector_config
from soco_mm.detectors.pipelines import pipeline_pixels
from soco_mm.detectors.stretching import stretch_detector
from soco_mm.utils import SoCoError
from soco_mm.utils.stretch import Stretch

WEIGHTS = 'soco_weights.pth'
REPORT = 'report.json'
# Share of the tensors of a pretrained part. An FPN may have levels above those
# of the backbone, such as P6 and P7.
LEAST_FILLED = {'backbone': 0.9, 'neck': 0.5, 'shared head': 0.9}


@dataclass(frozen=True)
class HandOff:
    """The detector that a model is exported to.

    Attributes:
        detector (str | Path, optional): Its MMDetection config, a path or
            ``mmdet::...``. Defaults to None, the Mask R-CNN that the model is
            made for.
        adapt (bool): Give it the norm layers and the normalisation of images
            that the pretrained model has. Defaults to False.
        parts (tuple[str], optional): Fill only these parts of it, see
            :func:`read_parts`. Defaults to None, those that the recipe hands
            over.
    """

    detector: str | Path | None = None
    adapt: bool = False
    parts: tuple[str, ...] | None = None


class FittedDetector(NamedTuple):
    """A detector that was filled with pretrained weights.

    Attributes:
        config (str): Name of its config in the folder.
        report (TransferReport): Which of its tensors were filled.
        weights (dict[str, Tensor]): The weights used, under its own names.
    """

    config: str
    report: TransferReport
    weights: dict[str, Tensor]


def exported_config(folder: str | Path) -> str:
    """Name of the detector's config in an export, empty if it is not one."""
    try:
        report = json.loads(Path(folder, REPORT).read_text())
        return Path(report['config']).name
    except (OSError, ValueError, KeyError, TypeError):
        return ''


def fit_detector(
    pretrained: Pretrained,
    folder: Path,
    handoff: HandOff,
    image: str | Path | None = None,
) -> FittedDetector:
    """Write a detector's config, fill it, and compare its features.

    Args:
        pretrained (Pretrained): The model.
        folder (Path): Where the config is written.
        handoff (HandOff): The detector.
        image (str | Path, optional): The image on which features are
            compared. Defaults to None, noise.

    Returns:
        FittedDetector: The config, the report, and the weights.

    Raises:
        UsageError: If the detector cannot be built.
        SoCoError: If the model does not fit it.
    """
    # Built first, since this says what is wrong with a checkpoint.
    net = pretrained.net
    model, detector = pretrained.model, handoff.detector
    parts = handoff.parts or pretrained.handed_over
    if detector is None:
        name, text = detector_config(model, WEIGHTS)
    else:
        name, text = inheriting_config(detector, model, WEIGHTS, handoff.adapt, parts)
    (folder / name).write_text(text)
    if pretrained.stretch is not None:
        stretch_detector(folder / name, pretrained.stretch)
    built = build_detector(folder / name, detector)
    kept, others = keep_parts(pretrained.weights, parts, pretrained.source)
    state = built.state_dict()
    matched, left_out = match_names(kept, state, start_level(built), start_level(net))
    # An RPN of other anchors, or none: left out as a whole.
    rpn = [each for each in matched if each.startswith(PARTS_BY_NAME['rpn'])]
    if not (has_place(rpn, matched, state) and same_boxes(net, built)):
        left_out += rpn
        matched = {each: matched[each] for each in matched if each not in rpn}
    with default_named(detector):
        report = fill(built, matched, net)
    if not any(part.filled for part in report.parts.values()):
        raise nothing_left('The detector', parts)
    report.unused, report.not_handed_over = left_out, others
    if others and parts:
        report.reason = reason_for(parts, bool(handoff.parts))
    with_backbone = parts is None or 'backbone' in parts
    if detector is not None and with_backbone:
        check_normalization(net, built, pipeline_pixels(Config.fromfile(folder / name)))
    if with_backbone:
        with_neck = parts is None or 'neck' in parts
        towers = any(key.startswith(DENSE_HEAD) for key in matched)
        with default_named(detector):
            report.max_difference = compare_features(
                net, built, load_input(image), with_neck, with_neck and towers
            )
    report.notes = [] if with_backbone else start_notes(built)
    if with_backbone or any(name.startswith(PARTS['shared head']) for name in matched):
        report.notes += frozen_notes(built)
    return FittedDetector(name, report, matched)


def has_place(
    names: Sequence[str], weights: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> bool:
    """Whether a detector has each of some weights, by its own names."""
    return all(
        name in state and state[name].shape == weights[name].shape for name in names
    )


def same_boxes(net: nn.Module, detector: nn.Module) -> bool:
    """Whether two RPNs mean the same boxes: the same anchors, coded alike."""
    heads = [getattr(each, 'rpn_head', None) for each in (net, detector)]
    priors = [getattr(head, 'prior_generator', None) for head in heads]
    if not all(hasattr(each, 'base_anchors') for each in priors):
        return False  # no RPN, or one of points
    anchors = [
        torch.stack(
            [
                base / base.new_tensor(stride * 2)  # x y x y
                for base, stride in zip(each.base_anchors, each.strides)
            ]
        )
        for each in priors
    ]
    coders = [
        (type(each), *(tuple(getattr(each, key, ())) for key in ('means', 'stds')))
        for each in (head.bbox_coder for head in heads)
    ]
    same = anchors[0].shape == anchors[1].shape and torch.allclose(*anchors)
    return same and coders[0] == coders[1]


@contextmanager
def default_named(detector: str | Path | None) -> Iterator[None]:
    """Say which detector does not fit if none was given.

    Raises:
        SoCoError: If the detector does not fit.
    """
    try:
        yield
    except SoCoError as error:
        if detector is not None:
            raise
        raise SoCoError(
            f'{error} Without --detector it is the Mask R-CNN of this plugin; give '
            'the config of one that has the settings of your model.'
        ) from error


def reason_for(parts: Sequence[str], asked: bool) -> str:
    """Why only some parts are handed over, as the end of a sentence."""
    names = ', '.join(parts)
    if asked:
        return f'only these parts were asked for: {names}'
    return (
        f'the recipe hands over only {names} (handed_over in '
        'the config; --parts all takes all)'
    )


def try_fit(
    model: Config,
    handoff: HandOff,
    stretch: Stretch = None,
    handed_over: Sequence[str] | None = None,
    begun: bool = False,
) -> None:
    """Refuse a detector that a model will not fit, before it is trained.

    Args:
        model (Config): The ``model`` of the pretraining's config.
        handoff (HandOff): The detector.
        stretch (tuple, optional): How it is to reduce images of more than 8
            bits. Defaults to None, as it does.
        handed_over (Sequence[str], optional): The parts that the recipe hands
            over. Defaults to None, all.
        begun (bool): The training has begun, so that its parts cannot be changed.
            Defaults to False.

    Raises:
        UsageError: If the detector's config cannot be read or built, or no part
            that is trained is handed over.
        SoCoError: If the model does not fit it.
    """
    if not begun:
        check_trained(model, handoff.parts or handed_over)
    with tempfile.TemporaryDirectory() as folder:
        untrained = Pretrained.untrained(model, stretch, handed_over)
        fit_detector(untrained, Path(folder), handoff)


def fill(detector: nn.Module, weights: dict, pretrained: nn.Module) -> TransferReport:
    """Fill a detector and report; refuse one that is only partly filled.

    Args:
        detector (nn.Module): The detector.
        weights (dict): Pretrained weights by its names.
        pretrained (nn.Module): The model that they come from.

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
        if not number:
            continue  # it was not handed over, or is not there, as the report says
        lost = any(key.startswith(prefix) for key in report.unused)
        filled = len(part.filled)
        if lost or part.shape_differs or filled < least * part.total:
            kinds = class_of(pretrained, prefix[:-1]), class_of(detector, prefix[:-1])
            reason = explain_mismatch(weights, state, prefix, kinds)
            if name == 'neck' and '--adapt' not in reason:
                reason += '. --parts backbone exports only the backbone'
            raise SoCoError(
                f'The weights do not fit the detector: {filled} of {number} '
                f'pretrained tensors of the {name} match, and the detector has '
                f'{part.total}. Probably {reason}.'
            )
    detector.load_state_dict(weights, strict=False)
    return report
