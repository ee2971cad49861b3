"""Names, settings and files of other libraries, without these libraries."""

import io
import pickle
import pickletools

import numpy as np
import pytest
import torch
import yaml

from soco_mm.checkpoint.libraries import (
    detectron2_pickle,
    detectron2_settings,
    detectron2_weights,
    mmpretrain_weights,
    split_parts,
    timm_model,
    timm_weights,
    torchvision_weights,
)
from soco_mm.engine.config import load_config
from soco_mm.utils import SoCoError

HEAD = 'roi_head.bbox_head.'


def model_of(name='soco_r50_fpn_100e', **changes):
    model = load_config(name).model.to_dict()
    for part, values in changes.items():
        model[part].update(values)
    return model


def names_of(convert, names, model=None):
    """The new name of each tensor, in order."""
    parts = split_parts({name: torch.zeros(2, 2, 1, 1) for name in names})
    converted = convert(parts, model or model_of())
    return [name for entries in converted.values() for name in entries]


# As printed by the libraries' own models.
DETECTRON2 = {
    'backbone.conv1.weight': 'backbone.bottom_up.stem.conv1.weight',
    'backbone.bn1.running_var': 'backbone.bottom_up.stem.conv1.norm.running_var',
    'backbone.layer1.0.downsample.0.weight': 'backbone.bottom_up.res2.0.shortcut.weight',
    'backbone.layer4.0.downsample.1.bias': 'backbone.bottom_up.res5.0.shortcut.norm.bias',
    'backbone.layer3.5.conv2.weight': 'backbone.bottom_up.res4.5.conv2.weight',
    'backbone.layer3.5.bn3.num_batches_tracked': 'backbone.bottom_up.res4.5.conv3.norm.num_batches_tracked',
    'neck.lateral_convs.0.conv.weight': 'backbone.fpn_lateral2.weight',
    'neck.fpn_convs.3.bn.bias': 'backbone.fpn_output5.norm.bias',
    HEAD + 'shared_convs.0.conv.weight': 'roi_heads.box_head.conv1.weight',
    HEAD + 'shared_convs.3.bn.weight': 'roi_heads.box_head.conv4.norm.weight',
    HEAD + 'shared_fcs.0.bias': 'roi_heads.box_head.fc1.bias',
}
TORCHVISION = {
    'backbone.layer3.5.bn3.bias': 'backbone.body.layer3.5.bn3.bias',
    'neck.lateral_convs.0.conv.weight': 'backbone.fpn.inner_blocks.0.0.weight',
    'neck.fpn_convs.3.bn.bias': 'backbone.fpn.layer_blocks.3.1.bias',
    HEAD + 'shared_convs.0.conv.weight': 'roi_heads.box_head.0.0.weight',
    HEAD + 'shared_convs.1.bn.bias': 'roi_heads.box_head.1.1.bias',
    # Two convolutions, the flattening, and a ReLU between the two.
    HEAD + 'shared_fcs.0.weight': 'roi_heads.box_head.3.weight',
    HEAD + 'shared_fcs.1.weight': 'roi_heads.box_head.5.weight',
}


@pytest.mark.parametrize(
    'convert, names',
    [
        (detectron2_weights, DETECTRON2),
        (torchvision_weights, TORCHVISION),
    ],
)
def test_every_kind_of_tensor_gets_its_name(convert, names):
    assert names_of(convert, names) == list(names.values())


def test_an_fpn_without_norm_has_biases():
    model = model_of(neck=dict(norm_cfg=None))
    names = ['backbone.conv1.weight', 'neck.fpn_convs.1.conv.bias']
    assert names_of(detectron2_weights, names, model)[1] == 'backbone.fpn_output3.bias'
    assert (
        names_of(torchvision_weights, names, model)[1]
        == 'backbone.fpn.layer_blocks.1.0.bias'
    )
    parts = split_parts({name: torch.zeros(1) for name in names})
    settings = yaml.safe_load(detectron2_settings(parts, model))
    assert settings['MODEL']['FPN']['NORM'] == ''
    assert settings['MODEL']['RESNETS']['NORM'] == 'SyncBN'


def test_res5_of_c4_is_detectron2s_head_and_a_backbones_last_stage():
    names = ['backbone.layer3.0.bn1.bias', 'roi_head.shared_head.layer4.0.bn1.bias']
    model = model_of('soco_r50_c4_100e')
    assert names_of(detectron2_weights, names, model) == [
        'backbone.res4.0.conv1.norm.bias',
        'roi_heads.res5.0.conv1.norm.bias',
    ]
    assert names_of(timm_weights, names, model) == [
        'layer3.0.bn1.bias',
        'layer4.0.bn1.bias',
    ]
    assert names_of(mmpretrain_weights, names, model) == [
        'backbone.layer3.0.bn1.bias',
        'backbone.layer4.0.bn1.bias',
    ]


def test_tensors_of_no_detector_are_refused():
    with pytest.raises(SoCoError, match='rubbish.weight has no place'):
        split_parts({'rubbish.weight': torch.zeros(1)})
    for convert in (detectron2_weights, torchvision_weights):
        with pytest.raises(SoCoError, match='fc_cls.weight has no place'):
            names_of(convert, ['backbone.conv1.weight', HEAD + 'fc_cls.weight'])


def test_settings_say_what_the_zoos_configs_say_otherwise():
    names = [
        'backbone.conv1.weight',
        'neck.fpn_convs.1.conv.weight',
        HEAD + 'shared_fcs.0.weight',
    ]
    parts = split_parts({name: torch.zeros(1) for name in names})
    settings = yaml.safe_load(detectron2_settings(parts, model_of()))
    assert settings['VERSION'] == 2
    assert settings['INPUT'] == dict(FORMAT='RGB')
    model = settings['MODEL']
    assert model['PIXEL_MEAN'] == [123.675, 116.28, 103.53]
    assert model['PIXEL_STD'] == [58.395, 57.12, 57.375]
    assert model['BACKBONE'] == dict(FREEZE_AT=0)
    assert model['RESNETS'] == dict(
        DEPTH=50, NORM='SyncBN', STRIDE_IN_1X1=False, RES2_OUT_CHANNELS=256
    )
    assert model['FPN'] == dict(OUT_CHANNELS=256, NORM='SyncBN')
    assert model['ROI_BOX_HEAD'] == dict(
        NUM_CONV=4,
        CONV_DIM=256,
        NUM_FC=1,
        FC_DIM=1024,
        NORM='SyncBN',
        POOLER_RESOLUTION=7,
    )


def test_pickle_is_arrays_alone_and_loads_with_numpy_1_and_2():
    weights = dict(a=torch.randn(4, 3, 1, 1), n=torch.tensor(7), b=torch.arange(3.0))
    data = detectron2_pickle(weights)
    called = {
        tuple(argument.split())
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data))
        if opcode.name in ('GLOBAL', 'STACK_GLOBAL', 'INST')
    }
    # NumPy 1 has no numpy._core.
    assert called == {
        ('numpy.core.multiarray', '_reconstruct'),
        ('numpy', 'ndarray'),
        ('numpy', 'dtype'),
    }
    loaded = pickle.loads(data, encoding='latin1')
    assert set(loaded) == {'model', '__author__', 'matching_heuristics'}
    for name, value in weights.items():
        array = loaded['model'][name]
        assert isinstance(array, np.ndarray)
        assert torch.equal(torch.from_numpy(array), value)
        assert array.dtype == value.numpy().dtype


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(backbone=dict(type='mmdet.ResNeXt')), 'mmdet.ResNeXt'),
        (dict(backbone=dict(avg_down=True)), 'backbone.avg_down=True'),
        (dict(backbone=dict(strides=(1, 2, 2, 1))), 'backbone.strides'),
        (dict(backbone=dict(dcn=dict(type='DCN'))), 'backbone.dcn'),
        (dict(backbone=dict(groups=32)), 'backbone.groups=32'),
        (
            dict(backbone=dict(norm_cfg=dict(type='GN', num_groups=32))),
            'backbone.norm_cfg is .*GN',
        ),
        (dict(backbone=dict(norm_cfg=dict(type='BN', eps=1e-3))), 'epsilon'),
        (dict(neck=dict(type='mmdet.PAFPN')), 'supports FPN .*PAFPN'),
        (dict(neck=dict(start_level=1)), 'neck.start_level=1, only 0'),
        (dict(neck=dict(add_extra_convs='on_input')), 'neck.add_extra_convs'),
        (dict(neck=dict(norm_cfg=dict(type='GN', num_groups=32))), 'neck.norm_cfg'),
    ],
)
@pytest.mark.parametrize('convert', [detectron2_weights, torchvision_weights])
def test_what_would_compute_otherwise_there_is_refused(convert, changes, words):
    with pytest.raises(SoCoError, match=words):
        names_of(convert, ['backbone.conv1.weight'], model_of(**changes))


def test_c4_of_basic_blocks_and_unequal_stages_are_refused():
    names = ['backbone.conv1.weight', 'roi_head.shared_head.layer4.0.conv1.weight']
    model = model_of('soco_r50_c4_100e')
    model['backbone']['depth'] = 18
    with pytest.raises(SoCoError, match='depth of model.roi_head.shared_head'):
        names_of(timm_weights, names, model)
    model['roi_head']['shared_head']['depth'] = 18
    with pytest.raises(SoCoError, match='bottlenecks.*ResNet-18'):
        names_of(detectron2_weights, names, model)
    assert timm_model(model) == 'resnet18'


def test_timm_names_the_model_and_refuses_those_it_does_not_have():
    swin = dict(depths=[2, 2, 18, 2])
    for name, backbone, expected in (
        ('soco_r101_fpn_100e', {}, 'resnet101'),
        ('soco_swin-t_fpn_100e', {}, 'swin_tiny_patch4_window7_224'),
        ('soco_swin-t_fpn_100e', swin, 'swin_small_patch4_window7_224'),
        ('soco_convnext-t_fpn_100e', dict(arch='base'), 'convnext_base'),
    ):
        assert timm_model(model_of(name, backbone=backbone)) == expected
    for name, backbone, words in (
        ('soco_swin-t_fpn_100e', dict(window_size=12), 'window_size=12'),
        ('soco_swin-t_fpn_100e', dict(depths=[2, 2, 2, 2]), 'usual sizes'),
        ('soco_convnext-t_fpn_100e', dict(use_grn=True), 'use_grn=True'),
        ('soco_convnext-t_fpn_100e', dict(arch='own'), 'usual sizes'),
        ('soco_r50_fpn_100e', dict(type='mmdet.HRNet'), 'usual sizes'),
        ('soco_r50_fpn_100e', dict(style='caffe'), 'style'),
    ):
        with pytest.raises(SoCoError, match=words):
            timm_model(model_of(name, backbone=backbone))
    with pytest.raises(SoCoError, match='supports ResNet, SwinTransformer and'):
        names_of(
            mmpretrain_weights,
            ['backbone.conv1.weight'],
            model_of(backbone=dict(type='mmdet.HRNet')),
        )
