"""Texts of Mask R-CNN configs that fit a pretrained model."""

import pprint
import textwrap
from collections.abc import Mapping

from mmengine.config import Config

from soco_mm.checkpoint.libraries import pixel_statistics
from soco_mm.engine.norms import BATCH_NORMS
from soco_mm.utils import UsageError

FPN_CONFIG = 'mask-rcnn_fpn_1x_coco.py'
C4_CONFIG = 'mask-rcnn_c4_1x_coco.py'

FPN_TEXT = """\
# Mask R-CNN with an FPN that starts from SoCo's weights (Section 4.2 of the
# paper). Inherit from this file and set the data and num_classes of your own;
# the learning rate is for 16 images per step.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
{imports}
# The norm of the pretraining in all layers, the new ones too; MMEngine makes
# SyncBN plain batch norm where there is one process.
norm_cfg = {norm}
channels = {channels}  # of each level of the pyramid
model = dict(
    data_preprocessor=dict(mean={mean}, std={std}, bgr_to_rgb={bgr_to_rgb}),
    backbone={backbone},
    neck=dict(
        in_channels={in_channels},
        out_channels=channels,{num_outs}
        norm_cfg={neck_norm}),
    rpn_head={rpn_head},
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=channels),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            in_channels=channels,
            conv_out_channels={conv_out_channels},
            fc_out_channels={fc_out_channels},
            norm_cfg={head_norm}),
        mask_roi_extractor=dict(out_channels=channels),
        mask_head=dict(in_channels=channels, norm_cfg=norm_cfg)))
"""
C4_TEXT = """\
# Mask R-CNN on C4 that starts from SoCo's weights (Section 4.2 of the paper).
# Inherit from this file and set the data and num_classes of your own; the
# learning rate is for 16 images per step.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py'

# The norm of the pretraining in all layers; MMEngine makes SyncBN plain batch
# norm where there is one process.
norm_cfg = {norm}
model = dict(
    data_preprocessor=dict(mean={mean}, std={std}, bgr_to_rgb={bgr_to_rgb}),
    backbone={backbone},{rpn_head}
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
FPN_CHANNELS = 256
# As in the paper, where nothing was pretrained.
SYNC_BN = dict(type='SyncBN', requires_grad=True)


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
    neck, head = model.get('neck'), model.roi_head.get('bbox_head')
    norm = norm_text(usual_norm(model))
    rpn_head = rpn_text(model)
    if shared := model.roi_head.get('shared_head'):
        text = C4_TEXT.format(
            norm=norm,
            backbone=backbone_text(model.backbone),
            depth=shared.depth,
            style=shared.style,
            rpn_head=rpn_head and f'\n    rpn_head={rpn_head},',
            **pixels,
        )
        return C4_CONFIG, text + end
    # Classes of other libraries are found once they are imported.
    scope = model.backbone.type.partition('.')[0]
    imports = (
        ''
        if scope == 'mmdet'
        else (f"\ncustom_imports = dict(imports='{scope}.models')\n")
    )
    text = FPN_TEXT.format(
        imports=imports,
        norm=norm,
        channels=neck.out_channels if neck else FPN_CHANNELS,
        backbone=backbone_text(model.backbone),
        in_channels=list(neck.in_channels) if neck else RESNET_CHANNELS,
        neck_norm=own_norm(neck, norm),
        conv_out_channels=(head or {}).get('conv_out_channels', 256),
        fc_out_channels=(head or {}).get('fc_out_channels', 1024),
        head_norm=own_norm(head, norm),
        rpn_head=rpn_head or 'dict(in_channels=channels)',
        # An RPN has anchors for just as many levels.
        num_outs=f'\n        num_outs={neck.num_outs},' if rpn_head else '',
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


def usual_norm(model: Mapping) -> Mapping:
    """The norm of most layers of a detector: the backbone's, or that behind a Swin."""
    part = model['backbone'] if is_resnet(model) else model.get('neck') or {}
    return part.get('norm_cfg') or SYNC_BN


def norm_text(norm: Mapping | None) -> str:
    """A pretrained norm in the detector, as text; batch norm is synchronised there."""
    if norm is None:
        return 'None'
    others = {key: value for key, value in norm.items() if key != 'type'}
    kind = 'SyncBN' if norm['type'] in BATCH_NORMS else norm['type']
    values = dict(type=kind, **others)
    return f'dict({", ".join(f"{key}={value!r}" for key, value in values.items())})'


def own_norm(part: Mapping | None, usual: str) -> str:
    """The norm of a part, as text: that of most layers by its name.

    Args:
        part (Mapping, optional): Config of the part; None if it is new.
        usual (str): What ``norm_cfg`` is there.
    """
    text = usual if part is None else norm_text(part.get('norm_cfg'))
    return 'norm_cfg' if text == usual else text


def rpn_text(model: Config) -> str:
    """The RPN of a pretraining as a detector has it; empty if there is none."""
    if not model.get('rpn_head'):
        return ''
    settings = model.rpn_head.to_dict()
    settings.pop('train_cfg', None)  # the detector has its own
    return dict_text(dict(_delete_=True, **settings))


def dict_text(values: Mapping, *more: str) -> str:
    """A part of ``model`` as text, with further arguments behind its values."""
    parts = [f'{key}={pprint.pformat(value)}' for key, value in values.items()]
    return 'dict(\n' + textwrap.indent(',\n'.join([*parts, *more]), 8 * ' ') + ')'


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
        own = ['frozen_stages=-1', 'norm_cfg=norm_cfg', 'norm_eval=False']
        return dict_text(values, *own, 'init_cfg=None')
    values = {key: value for key, value in backbone.items() if key != 'init_cfg'}
    return dict_text(dict(_delete_=True, **values), 'init_cfg=None')
