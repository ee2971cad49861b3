"""Detectron2's names, its model zoo's pickle, and what its config needs."""

import pickle
import re
from collections.abc import Mapping

import torch
import yaml
from torch import Tensor

from soco_mm.utils import SoCoError

from .architecture import check_detector, check_resnet, pixel_statistics
from .parts import COMMON, CONV_MODULE, FC, Parts, no_place

LIBRARY = 'detectron2'
CONVS = {
    'lateral_convs': 'backbone.fpn_lateral{}.',
    'fpn_convs': 'backbone.fpn_output{}.',
    'shared_convs': 'roi_heads.box_head.conv{}.',
}
# It counts stages and pyramid levels from 2, layers of the head from 1.
FIRST = {'lateral_convs': 2, 'fpn_convs': 2, 'shared_convs': 1}
SETTINGS_COMMENT = """\
# Settings with which detectron2 computes what the weights next to this file
# were pretrained for. Merge them into a config of its model zoo.
"""


def detectron2_weights(parts: Parts, model: Mapping) -> Parts:
    """Give weights the names they have in detectron2's ``GeneralizedRCNN``.

    Args:
        parts (dict): See :func:`split_parts`.
        model (Mapping): The ``model`` of the pretraining's config.

    Returns:
        dict[str, dict[str, Tensor]]: By those of the same parts that it has, and by
        full names.

    Raises:
        SoCoError: If detectron2 has no such model.
    """
    check_resnet(model, LIBRARY, any_style=True)
    check_detector(model, LIBRARY)
    is_c4 = 'shared head' in parts
    if is_c4 and model['backbone']['depth'] < 50:
        raise SoCoError(
            'The res5 head of detectron2 has bottlenecks, but that of a '
            f'ResNet-{model["backbone"]["depth"]} has basic blocks. Choose '
            'the format safetensors.'
        )
    return {
        part: {
            detectron2_name(part, name, is_c4): value for name, value in weights.items()
        }
        for part, weights in parts.items()
        if part in COMMON
    }


def detectron2_name(part: str, name: str, is_c4: bool = False) -> str:
    """Name of a tensor in detectron2's ``GeneralizedRCNN``.

    Args:
        part (str): The part of the detector that it belongs to.
        name (str): Its name within the part.
        is_c4 (bool): Whether the detector has no FPN. Defaults to False.

    Raises:
        SoCoError: If detectron2 has no such tensor.
    """
    if part == 'backbone':
        return ('backbone.' if is_c4 else 'backbone.bottom_up.') + resnet_name(name)
    if part == 'shared head':
        return 'roi_heads.' + resnet_name(name)
    if found := CONV_MODULE.match(name):
        number = int(found[2]) + FIRST[found[1]]
        norm = 'norm.' if found[3] == 'bn' else ''
        return CONVS[found[1]].format(number) + norm + name[found.end() :]
    if found := FC.match(name):
        number = int(found[1]) + 1
        return f'roi_heads.box_head.fc{number}.{name[found.end() :]}'
    raise no_place(f'{part}: {name}')


def resnet_name(name: str) -> str:
    """A ResNet's ``layer1.0.bn2.bias`` is its ``res2.0.conv2.norm.bias``."""
    prefix = 'stem.'
    if stage := re.match(r'layer(\d)\.(\d+)\.', name):
        prefix = f'res{int(stage[1]) + 1}.{stage[2]}.'
        name = name[stage.end() :]
    name = re.sub(r'^bn(\d)\.', r'conv\1.norm.', name)
    name = re.sub(r'^downsample\.0\.', 'shortcut.', name)
    return prefix + re.sub(r'^downsample\.1\.', 'shortcut.norm.', name)


def detectron2_settings(parts: Parts, model: Mapping) -> str:
    """The settings of a detectron2 config that the weights need.

    Only those that differ from what the configs of its model zoo say, or
    might: the same file goes with Faster, Mask and Cascade R-CNN and with
    RetinaNet.

    Args:
        parts (dict): See :func:`split_parts`.
        model (Mapping): The ``model`` of the pretraining's config.

    Returns:
        str: A YAML text.
    """
    backbone, roi_head = model['backbone'], model.get('roi_head') or {}
    pixels = pixel_statistics(model)
    settings = dict(
        PIXEL_MEAN=pixels['mean'],
        PIXEL_STD=pixels['std'],
        BACKBONE=dict(FREEZE_AT=0),
        RESNETS=dict(
            DEPTH=backbone['depth'],
            NORM=norm_name(backbone.get('norm_cfg', dict(type='BN'))),
            STRIDE_IN_1X1=backbone.get('style') == 'caffe',
            RES2_OUT_CHANNELS=64 if backbone['depth'] < 50 else 256,
        ),
    )
    if 'neck' in parts:
        settings['FPN'] = dict(
            OUT_CHANNELS=model['neck']['out_channels'],
            NORM=norm_name(model['neck'].get('norm_cfg')),
        )
    extractor = roi_head.get('bbox_roi_extractor') or {}
    if 'box head' in parts:
        head = roi_head['bbox_head']
        settings['ROI_BOX_HEAD'] = dict(
            NUM_CONV=head.get('num_shared_convs', 4),
            CONV_DIM=head.get('conv_out_channels', 256),
            NUM_FC=head.get('num_shared_fcs', 1),
            FC_DIM=head.get('fc_out_channels', 1024),
            NORM=norm_name(head.get('norm_cfg')),
            POOLER_RESOLUTION=head.get('roi_feat_size', 7),
        )
    elif 'shared head' in parts:
        settings['ROI_BOX_HEAD'] = dict(
            POOLER_RESOLUTION=extractor.get('output_size', 14)
        )
    order = 'RGB' if pixels['bgr_to_rgb'] else 'BGR'
    return SETTINGS_COMMENT + yaml.safe_dump(
        dict(VERSION=2, INPUT=dict(FORMAT=order), MODEL=settings), sort_keys=False
    )


def norm_name(norm_cfg) -> str:
    """Name of a norm layer, empty for none."""
    return norm_cfg['type'] if norm_cfg else ''


def detectron2_pickle(weights: dict[str, Tensor]) -> bytes:
    """A file as in detectron2's model zoo.

    Its checkpointer reads ``.pkl`` as pickle. With ``__author__`` it takes
    the names as they are; the heuristics would match them by their endings.

    Args:
        weights (dict[str, Tensor]): Weights by detectron2's names.

    Returns:
        bytes: A pickle of NumPy arrays.
    """
    content = dict(
        # NumPy has no bfloat16.
        model={
            name: (value.float() if value.dtype == torch.bfloat16 else value).numpy()
            for name, value in weights.items()
        },
        __author__='soco_mm',
        matching_heuristics=False,
    )
    # Protocol 3 keeps bytes as bytes and names classes in plain text. NumPy 2
    # moved the function below; NumPy 1 knows it only by its old name, and
    # NumPy 2 by both.
    return pickle.dumps(content, protocol=3).replace(
        b'cnumpy._core.multiarray\n_reconstruct',
        b'cnumpy.core.multiarray\n_reconstruct',
        1,
    )
