"""Texts of MMDetection configs that fit a pretrained model."""
import os
import pprint
import textwrap
from pathlib import Path
from typing import Union

from mmengine.config import Config
from mmengine.hub import get_config

from soco_mm.utils import UsageError

FPN_CONFIG = 'mask-rcnn_fpn_1x_coco.py'
C4_CONFIG = 'mask-rcnn_c4_1x_coco.py'

FPN = """\
# Mask R-CNN with an FPN that starts from SoCo's weights (Section 4.2 of the
# paper). Inherit from this file and set the data and num_classes of your own;
# the learning rate is for 16 images a step.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
{imports}
# Synchronised batch norm in all layers, the new ones too; MMEngine makes it
# plain batch norm where there is one process.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone={backbone},
    neck=dict(in_channels={in_channels}, norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            conv_out_channels={conv_out_channels},
            fc_out_channels={fc_out_channels},
            norm_cfg=norm_cfg),
        mask_head=dict(norm_cfg=norm_cfg)))
"""
C4 = """\
# Mask R-CNN on C4 that starts from SoCo's weights (Section 4.2 of the paper).
# Inherit from this file and set the data and num_classes of your own; the
# learning rate is for 16 images a step.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py'

# Synchronised batch norm in all layers; MMEngine makes it plain batch norm
# where there is one process.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True),
    backbone={backbone},
    roi_head=dict(
        shared_head=dict(
            depth={depth}, style='{style}', norm_cfg=norm_cfg,
            norm_eval=False)))
"""
SGD = """
optim_wrapper = dict(optimizer=dict(lr=0.02, weight_decay=2.5e-5))
"""
# What MMDetection uses for such backbones.
ADAMW = """
optim_wrapper = dict(
    paramwise_cfg=dict(
        norm_decay_mult=0.,
        custom_keys=dict(relative_position_bias_table=dict(decay_mult=0.))),
    optimizer=dict(
        _delete_=True,
        type='AdamW',
        lr=1e-4,
        betas=(0.9, 0.999),
        weight_decay=0.05))
"""
SCHEDULE = """\
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
RESNET_CHANNELS = [256, 512, 1024, 2048]


def detector_config(model: Config, weights: str) -> tuple:
    """Name and text of the Mask R-CNN config that fits a pretrained model.

    Args:
        model (Config): The ``model`` of the pretraining's config.
        weights (str): Name of the file of weights beside it.

    Returns:
        tuple: Name and text of a config that inherits from MMDetection's: C4
        if the model has a res5 head, else with an FPN, which starts anew if
        the model has none.
    """
    resnet = model.backbone.type == 'mmdet.ResNet'
    end = (SGD if resnet else ADAMW) + SCHEDULE.format(weights=weights)
    if shared := model.roi_head.get('shared_head'):
        text = C4.format(
            backbone=backbone_text(model.backbone),
            depth=shared.depth,
            style=shared.style)
        return C4_CONFIG, text + end
    neck, head = model.get('neck'), model.roi_head.get('bbox_head') or {}
    # Classes of other libraries are found once they are imported.
    scope = model.backbone.type.partition('.')[0]
    imports = '' if scope == 'mmdet' else (
        f"\ncustom_imports = dict(imports='{scope}.models')\n")
    text = FPN.format(
        imports=imports,
        backbone=backbone_text(model.backbone),
        in_channels=list(neck.in_channels) if neck else RESNET_CHANNELS,
        conv_out_channels=head.get('conv_out_channels', 256),
        fc_out_channels=head.get('fc_out_channels', 1024))
    return FPN_CONFIG, text + end


INHERITING = """\
# The detector of the config below, which starts from SoCo's weights.
_base_ = {base!r}

model = {model}

load_from = '{{{{ fileDirname }}}}/{weights}'
"""


def inheriting_config(detector: Union[str, Path], model: Config, weights: str,
                      adapt: bool) -> tuple:
    """Name and text of a config of any detector that loads weights.

    Args:
        detector (str | Path): The MMDetection config, a path or
            ``mmdet::...``.
        model (Config): The ``model`` of the pretraining's config.
        weights (str): Name of the file of weights beside it.
        adapt (bool): Give the detector the norm layers and the normalisation
            of images that the pretrained model has.

    Returns:
        tuple: Name and text of the config.

    Raises:
        UsageError: If the detector's config cannot be read.
    """
    base = str(detector)
    if '::' not in base:
        base = os.path.abspath(base)
    try:
        theirs = (get_config(base)
                  if '::' in base else Config.fromfile(base)).model
    except Exception as error:  # a config is a program: anything can happen
        raise UsageError(f'The config {detector} of the detector cannot be '
                         f'read: {error}') from None
    backbone = dict(init_cfg=None)  # not another download
    changes = dict(backbone=backbone)
    if adapt:
        ours = model.backbone
        for key in ('norm_cfg', 'norm_eval', 'style'):
            if key in ours:
                backbone[key] = plain(ours[key])
        if 'frozen_stages' in theirs.backbone:
            backbone['frozen_stages'] = -1
        if theirs.get('neck') and model.get('neck'):
            changes['neck'] = dict(norm_cfg=plain(model.neck.norm_cfg))
        changes['data_preprocessor'] = dict(
            mean=[123.675, 116.28, 103.53],
            std=[58.395, 57.12, 57.375],
            bgr_to_rgb=True)
    text = INHERITING.format(
        base=base, model=pprint.pformat(changes, sort_dicts=False),
        weights=weights)
    return Path(base.rpartition('::')[2]).name, text


def plain(value):
    """A part of a config as plain data."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def backbone_text(backbone: Config) -> str:
    """The backbone of the detector, as text within ``model``."""
    if backbone.type == 'mmdet.ResNet':
        left_out = ('type', 'frozen_stages', 'norm_cfg', 'norm_eval',
                    'init_cfg', 'zero_init_residual', 'out_indices')
        # FPN and C4 read these stages, whatever was pretrained.
        values = {
            key: value
            for key, value in backbone.items() if key not in left_out
        }
        parts = ['frozen_stages=-1', 'norm_cfg=norm_cfg', 'norm_eval=False']
    else:
        values = dict(
            _delete_=True,
            **{key: value
               for key, value in backbone.items() if key != 'init_cfg'})
        parts = []
    parts = [f'{key}={pprint.pformat(value)}'
             for key, value in values.items()] + parts + ['init_cfg=None']
    return 'dict(\n' + textwrap.indent(',\n'.join(parts), 8 * ' ') + ')'
