import json
from pathlib import Path
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope

from soco_mm.checkpoint import (TransferReport, compare_tensors,
                                detector_weights, read_checkpoint,
                                write_checkpoint)
from soco_mm.registry import MODELS
from soco_mm.utils import (ImageError, SoCoError, atomic_folder,
                           check_replaceable, read_image)
from soco_mm.version import __version__
from .detector_config import detector_config

WEIGHTS = 'soco_weights.pth'
REPORT = 'report.json'


def export_detector(cfg: Config,
                    checkpoint: Union[str, Path],
                    out: Union[str, Path],
                    image: Optional[Union[str, Path]] = None
                    ) -> TransferReport:
    """Hand a pretrained model over to MMDetection.

    Writes a folder with the weights, without target network, projector and
    predictor; a Mask R-CNN config that loads them; and ``report.json``.

    Args:
        cfg (Config): The config of the pretraining.
        checkpoint (str | Path): A checkpoint of that training.
        out (str | Path): The folder to write; an earlier export is replaced.
        image (str | Path, optional): The image on which features are
            compared. Defaults to None, noise.

    Returns:
        TransferReport: Which tensors of the detector were filled; its
        ``config`` is the path of the detector's config.

    Raises:
        SoCoError: If the checkpoint is not of this config, or something that
            should match does not; then nothing is written.
    """
    out = Path(out).resolve()
    check_replaceable(out, WEIGHTS, 'an export')
    weights = detector_weights(
        read_checkpoint(checkpoint).get('state_dict', {}))
    with atomic_folder(out) as partial:
        write_checkpoint(
            partial / WEIGHTS,
            dict(
                meta=dict(
                    soco_mm_version=__version__,
                    checkpoint=str(checkpoint),
                    config=cfg.filename and Path(cfg.filename).name),
                state_dict=weights))
        name, text = detector_config(cfg.model, WEIGHTS)
        (partial / name).write_text(text)
        pretrained = build_pretrained(cfg, weights)
        detector = build_detector(partial / name)
        report = fill(detector, weights)
        report.config = str(out / name)
        report.max_difference = compare_features(pretrained, detector,
                                                 load_input(image))
        (partial / REPORT).write_text(json.dumps(report.to_dict(), indent=1))
    return report


def build_pretrained(cfg: Config, weights: dict) -> torch.nn.Module:
    """Build the pretrained model and fill backbone, neck and R-CNN head.

    Raises:
        SoCoError: If the weights are of another architecture.
    """
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    own = detector_weights(model.state_dict())
    report = compare_tensors(own, weights)
    wrong = report.mismatches()
    if wrong:
        raise SoCoError(
            'The checkpoint is of another architecture than the config: '
            f'{wrong[0]}, and {len(wrong) - 1} more. Give the config it was '
            'trained with.')
    model.load_state_dict(weights, strict=False)
    return model


def build_detector(config: Union[str, Path]) -> torch.nn.Module:
    """Build the detector of an MMDetection config, in evaluation mode."""
    from mmdet.registry import MODELS as MMDET_MODELS
    from mmdet.utils import register_all_modules
    register_all_modules(init_default_scope=False)
    cfg = Config.fromfile(config)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return revert_sync_batchnorm(MMDET_MODELS.build(cfg.model)).eval()


def fill(detector: torch.nn.Module, weights: dict) -> TransferReport:
    """Fill a detector and report; refuse if a weight finds no place.

    Raises:
        SoCoError: If a pretrained tensor is not used, or a part is filled by
            half: a tensor of the backbone is not, or one of a neck or shared
            head that was pretrained.
    """
    report = compare_tensors(detector.state_dict(), weights)
    problems = [f'{name} has no place in the detector'
                for name in report.unused]
    for name, part in report.parts.items():
        problems += [
            f'{tensor} has the shape {ours} in the detector and {theirs} in '
            'the weights' for tensor, ours, theirs in part.shape_differs
        ]
        whole = name == 'backbone' or (name in ('neck', 'shared head')
                                       and part.filled)
        if whole:
            problems += [f'{tensor} is not pretrained'
                         for tensor, _ in part.new]
    if problems:
        raise SoCoError('The weights do not fit the detector: '
                        f'{problems[0]}, and {len(problems) - 1} more.')
    detector.load_state_dict(weights, strict=False)
    return report


def load_input(image: Optional[Union[str, Path]]) -> torch.Tensor:
    """A normalised image for the comparison of features, (1, 3, H, W)."""
    try:
        pixels = None if image is None else read_image(image)
    except ImageError:  # it is gone since; noise serves as well
        pixels = None
    if pixels is None:
        return torch.randn(
            1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    pixels = torch.from_numpy(pixels).permute(2, 0, 1).float()
    pixels = torch.nn.functional.interpolate(
        pixels[None], (224, 224), mode='bilinear', antialias=True)
    mean = pixels.mean((2, 3), keepdim=True)
    return (pixels - mean) / pixels.std((2, 3), keepdim=True).clamp(min=1)


@torch.no_grad()
def compare_features(pretrained: torch.nn.Module, detector: torch.nn.Module,
                     image: torch.Tensor) -> float:
    """Compare backbone and neck, or res5, of both on an image.

    Returns:
        float: The largest difference, relative to the largest value.

    Raises:
        SoCoError: If the features differ by more than rounding.
    """
    largest = 0.
    actual = detector.backbone(image)
    # One that is pretrained without a neck gives its last stages alone.
    expected = pretrained.backbone(image)
    used = actual[-len(expected):]
    if pretrained.neck is not None:
        expected += pretrained.neck(expected)
        used += detector.neck(actual)[:len(expected) - len(used)]
    elif detector.with_shared_head:
        expected += (pretrained.roi_head.shared_head(expected[-1]), )
        used += (detector.roi_head.shared_head(actual[-1]), )
    for ours, theirs in zip(expected, used):
        scale = ours.abs().max().clamp(min=1e-12)
        largest = max(largest, ((ours - theirs).abs().max() / scale).item())
    if not largest < 1e-4:
        raise SoCoError(
            "The detector's features differ from the pretrained model's by "
            f'{largest:.1e}, although all tensors match: the two compute '
            'different things.')
    return largest
