"""Texts of Mask R-CNN configs that fit a pretrained model."""

import pprint
import textwrap
from collections.abc import Mapping

from mmengine.config import Config

from soco_mm.checkpoint.libraries import pixel_statistics
from soco_mm.utils import UsageError

FPN_CONFIG = 'mask-rcnn_fpn_1x_coco.py'
C4_CONFIG = 'mask-rcnn_c4_1x_coco.py'

FPN_TEXT = """\
# Mask R-CNN with an FPN that starts from SoCo's weights (Section 4.2 of the
# paper). Inherit from this file and set the data and num_classes of your own;
# the learning rate is for 16 images per step.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
{imports}
# Synchronised batch norm in all layers, the new ones too; MMEngine makes it
# plain batch norm where there is one process.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(mean={mean}, std={std}, bgr_to_rgb={bgr_to_rgb}),
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
C4_TEXT = """\
# Mask R-CNN on C4 that starts from SoCo's weights (Section 4.2 of the paper).
# Inherit from this file and set the data and num_classes of your own; the
# learning rate is for 16 images per step.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py'

# Synchronised batch norm in all layers; MMEngine makes it plain batch norm
# where there is one process.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(mean={mean}, std={std}, bgr_to_rgb={bgr_to_rgb}),
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

load_from = {load_from}
"""
RESNET_CHANNELS = [256, 512, 1024, 2048]


def detector_config(model: Config, weights: str) -> tuple:
    """Name and text of the Mask R-CNN config that fits a pretrained model.

    Args:
        model (Config): The ``model`` of the pretraining's config.
        weights (str): Name of the file of weights beside it.

    Returns:
        tuple: Name and text of a config that inherits from MMDetection's: C4
        if the model has a res5 head, else with an FPN, which starts from random
        weights if the model has none.

    Raises:
        UsageError: If the model was made for another detector.
    """
    check_made_for(model)
    optimizer = SGD if is_resnet(model) else ADAMW
    end = optimizer + SCHEDULE.format(load_from=beside(weights))
    pixels = pixel_statistics(model)
    if shared := model.roi_head.get('shared_head'):
        text = C4_TEXT.format(
            backbone=backbone_text(model.backbone),
            depth=shared.depth,
            style=shared.style,
            **pixels,
        )
        return C4_CONFIG, text + end
    neck, head = model.get('neck'), model.roi_head.get('bbox_head') or {}
    # Classes of other libraries are found once they are imported.
    scope = model.backbone.type.partition('.')[0]
    imports = (
        ''
        if scope == 'mmdet'
        else (f"\ncustom_imports = dict(imports='{scope}.models')\n")
    )
    text = FPN_TEXT.format(
        imports=imports,
        backbone=backbone_text(model.backbone),
        in_channels=list(neck.in_channels) if neck else RESNET_CHANNELS,
        conv_out_channels=head.get('conv_out_channels', 256),
        fc_out_channels=head.get('fc_out_channels', 1024),
        **pixels,
    )
    return FPN_CONFIG, text + end


def check_made_for(model: Config) -> None:
    """Refuse the model of another detector.

    Raises:
        UsageError: If it is one.
    """
    neck, head = model.get('neck'), (model.get('roi_head') or {}).get('bbox_head')
    other = isinstance(head, list) or (head or {}).get('head') is not None
    if neck:
        other |= isinstance(neck, list) or neck.type != 'mmdet.FPN'
        other = other or neck.get('start_level', 0) != 0
    if other or model.get('bbox_head'):
        raise UsageError(
            'The model was made for a detector of its own, not for the Mask R-CNN '
            "of this plugin's recipes. Give the detector's config with --detector."
        )


def is_resnet(model: Mapping) -> bool:
    """Whether a model has a ResNet, which SGD and LARS suit."""
    return model['backbone']['type'] == 'mmdet.ResNet'


def beside(name: str) -> str:
    """A string in a config: the path of a file next to it.

    MMEngine puts the folder in as it is, also one with a quote in its name.
    """
    return f'r"""{{{{ fileDirname }}}}/{name}"""'


def backbone_text(backbone: Config) -> str:
    """The backbone of the detector, as text within ``model``."""
    if backbone.type == 'mmdet.ResNet':
        left_out = (
            'type',
            'frozen_stages',
            'norm_cfg',
            'norm_eval',
            'init_cfg',
            'zero_init_residual',
            'out_indices',
        )
        # FPN and C4 read these stages, whatever was pretrained.
        values = {key: value for key, value in backbone.items() if key not in left_out}
        parts = ['frozen_stages=-1', 'norm_cfg=norm_cfg', 'norm_eval=False']
    else:
        values = dict(
            _delete_=True,
            **{key: value for key, value in backbone.items() if key != 'init_cfg'},
        )
        parts = []
    parts = (
        [f'{key}={pprint.pformat(value)}' for key, value in values.items()]
        + parts
        + ['init_cfg=None']
    )
    return 'dict(\n' + textwrap.indent(',\n'.join(parts), 8 * ' ') + ')'
