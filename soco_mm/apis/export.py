import copy
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from torch import nn

from soco_mm.checkpoint import (
    TransferReport,
    compare_tensors,
    detector_weights,
    explain_mismatch,
    match_names,
    read_checkpoint,
    state_dict_of,
    write_checkpoint,
)
from soco_mm.checkpoint.transfer import PARTS, PartReport
from soco_mm.engine.runtime import use_plain_sync_norm
from soco_mm.models import SoCo
from soco_mm.registry import MODELS
from soco_mm.utils import (
    SoCoError,
    UsageError,
    atomic_folder,
    check_replaceable,
    write_json,
)
from soco_mm.version import __version__

from .checkpoint_model import model_of
from .detector_config import detector_config, plain
from .export_checks import (
    check_pixels,
    compare_features,
    frozen_notes,
    load_input,
    start_level,
)
from .inheriting_config import first_line, inheriting_config
from .stretching import stretch_detector, stretch_of

WEIGHTS = 'soco_weights.pth'
REPORT = 'report.json'
# With its last stage, which is the head of models on C4.
BACKBONE = (PARTS['backbone'], PARTS['shared head'])
# Of the tensors of a pretrained part. An FPN may have levels above those of
# the backbone, such as P6 and P7.
LEAST_FILLED = {'backbone': 0.9, 'neck': 0.5, 'shared head': 0.9}


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


def build_pretrained(
    model: Config, weights: dict, checkpoint: str | Path
) -> torch.nn.Module:
    """Build the pretrained model and fill backbone, neck and R-CNN head.

    Args:
        model (Config): The ``model`` of the pretraining's config.
        weights (dict[str, Tensor]): Those of its checkpoint.
        checkpoint (str | Path): The file, for messages.

    Returns:
        nn.Module: The model.

    Raises:
        SoCoError: If it cannot be built, is no pretraining of this plugin, or
            the weights are of another architecture.
    """
    try:
        net = revert_sync_batchnorm(MODELS.build(model))
    except Exception as error:  # components of any library
        raise SoCoError(
            f'The model of {checkpoint} cannot be built: {first_line(error)}. '
            'Give the config of this plugin that it was pretrained with.'
        ) from error
    if not isinstance(net, SoCo):
        raise SoCoError(
            f'{checkpoint} is of the model {type(net).__name__}, and not of '
            'one that was pretrained with this plugin.'
        )
    net.eval()
    own = detector_weights(net.state_dict())
    report = compare_tensors(own, weights)
    wrong = report.mismatches()
    if wrong:
        more = f', and {len(wrong) - 1} more' * (len(wrong) > 1)
        raise SoCoError(
            'The checkpoint is of another architecture than the config: '
            f'{wrong[0]}{more}. Give the config it was trained with.'
        )
    net.load_state_dict(weights, strict=False)
    return net


def build_detector(config: str | Path, name: str | Path | None = None) -> nn.Module:
    """Build the detector of an MMDetection config, in evaluation mode.

    Args:
        config (str | Path): The config.
        name (str | Path, optional): What it is called in messages. Defaults to
            None, its path.

    Returns:
        nn.Module: The detector, with random weights.

    Raises:
        UsageError: If it cannot be built.
    """
    try:
        built = build_model(Config.fromfile(config).model)
    except Exception as error:  # it is other people's code
        raise UsageError(
            f'MMDetection cannot build the detector of {name or config}: '
            f'{first_line(error)}'
        ) from error
    return revert_sync_batchnorm(built).eval()


def build_model(model: Config) -> nn.Module:
    """Build a model of MMDetection in this process, from its config.

    Args:
        model (Config): The config, which stays as it is; detectors change the
            one that they are built from.

    Returns:
        nn.Module: The model.
    """
    from mmdet.registry import MODELS as MMDET_MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    model = copy.deepcopy(model)
    use_plain_sync_norm(model)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MMDET_MODELS.build(model)


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


def class_of(net: nn.Module, path: str) -> str:
    """Name of the class of a part, empty if there is none."""
    for name in path.split('.'):
        net = getattr(net, name, None)
    return '' if net is None else type(net).__name__
