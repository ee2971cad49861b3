import json
import pprint
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

WEIGHTS = 'soco_weights.pth'
CONFIG = 'mask-rcnn_fpn_1x_coco.py'
REPORT = 'report.json'

MASK_RCNN = """\
# Mask R-CNN with an FPN that starts from SoCo's weights (Section 4.2 of the
# paper). Inherit from this file and set the data and num_classes of your own;
# the learning rate is for 16 images a step.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

# Synchronised batch norm in all layers, the new ones too; MMEngine makes it
# plain batch norm where there is one process.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict({backbone}
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        init_cfg=None),
    neck=dict(in_channels={in_channels}, norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            conv_out_channels={conv_out_channels},
            fc_out_channels={fc_out_channels},
            norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg)))

optim_wrapper = dict(optimizer=dict(lr=0.02, weight_decay=2.5e-5))
# Warm-up of 1000 iterations, steps at 2/3 and 8/9.
param_scheduler = [
    dict(
        type='LinearLR', start_factor=0.001, by_epoch=False, begin=0,
        end=1000),
    dict(
        type='MultiStepLR',
        begin=0,
        end=12,
        by_epoch=True,
        milestones=[8, 11],
        gamma=0.1),
]

load_from = '{{{{ fileDirname }}}}/{weights}'
"""


def mask_rcnn_config(model: Config) -> str:
    """Text of the Mask R-CNN config that fits a pretrained model.

    Args:
        model (Config): The ``model`` of the pretraining's config.

    Returns:
        str: A config that inherits from MMDetection's.

    Raises:
        SoCoError: If the model is not a ResNet with an FPN.
    """
    if (model.backbone.type, model.neck.type) != ('mmdet.ResNet', 'mmdet.FPN'):
        raise SoCoError(
            'Only an mmdet.ResNet with an mmdet.FPN can be exported to Mask '
            f'R-CNN, but the model has {model.backbone.type} and '
            f'{model.neck.type}.')
    set_above = ('type', 'frozen_stages', 'norm_cfg', 'norm_eval', 'init_cfg',
                 'zero_init_residual', 'out_indices')
    backbone = ''.join(
        f'\n        {key}={pprint.pformat(value)},'
        for key, value in model.backbone.items() if key not in set_above)
    head = model.roi_head.bbox_head
    return MASK_RCNN.format(
        backbone=backbone,
        in_channels=list(model.neck.in_channels),
        conv_out_channels=head.conv_out_channels,
        fc_out_channels=head.fc_out_channels,
        weights=WEIGHTS)


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
        TransferReport: Which tensors of the detector were filled.

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
        (partial / CONFIG).write_text(mask_rcnn_config(cfg.model))
        pretrained = build_pretrained(cfg, weights)
        detector = build_detector(partial / CONFIG)
        report = fill(detector, weights)
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
        SoCoError: If a pretrained tensor is not used, or a tensor of the
            backbone or the neck is not filled.
    """
    report = compare_tensors(detector.state_dict(), weights)
    problems = [f'{name} has no place in the detector'
                for name in report.unused]
    for name, part in report.parts.items():
        problems += [
            f'{tensor} has the shape {ours} in the detector and {theirs} in '
            'the weights' for tensor, ours, theirs in part.shape_differs
        ]
        if name in ('backbone', 'neck'):
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
    """Compare backbone and neck of both on an image.

    Returns:
        float: The largest difference, relative to the largest value.

    Raises:
        SoCoError: If the features differ by more than rounding.
    """
    largest = 0.
    expected = pretrained.backbone(image)
    actual = detector.backbone(image)
    expected += pretrained.neck(expected)
    actual += detector.neck(actual)[:len(expected) - len(actual)]
    for ours, theirs in zip(expected, actual):
        scale = ours.abs().max().clamp(min=1e-12)
        largest = max(largest, ((ours - theirs).abs().max() / scale).item())
    if not largest < 1e-4:
        raise SoCoError(
            "The detector's features differ from the pretrained model's by "
            f'{largest:.1e}, although all tensors match: the two compute '
            'different things.')
    return largest
