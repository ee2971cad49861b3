"""Backbones are told by the names and shapes that each library gives them."""

import json

import beside
import pytest

from soco_mm.checkpoint.recognise import recognise_backbone
from soco_mm.registry import MODELS

OURS = [
    (dict(type='ResNet', depth=18), 'ResNet-18'),
    (dict(type='ResNet', depth=50), 'ResNet-50'),
    (dict(type='ResNet', depth=101), 'ResNet-101'),
    (dict(type='ResNeXt', depth=50, groups=32, base_width=4), 'ResNeXt-50'),
    (dict(type='ResNetV1d', depth=50), 'ResNet-50 with another stem'),
    (dict(type='Res2Net', depth=50), None),
    (dict(type='SwinTransformer'), 'Swin-T'),
    (dict(type='MobileNetV2', out_indices=(1, 2, 4, 6)), 'MobileNetV2'),
    (dict(type='SSDVGG', depth=16, input_size=300), 'VGG'),
    (dict(type='CSPDarknet'), None),
    (dict(type='EfficientNet', arch='b0'), None),
]
TORCHVISION = dict(
    resnet34='ResNet-34',
    resnet50='ResNet-50',
    wide_resnet50_2='ResNet-50 of another width',
    vgg16='VGG',
    vgg16_bn='VGG',
    densenet121='DenseNet',
    efficientnet_b0='EfficientNet or MobileNetV3',
    mobilenet_v2='MobileNetV2',
    mobilenet_v3_small='EfficientNet or MobileNetV3',
    swin_s='Swin-S',
    convnext_tiny='ConvNeXt-T',
    vit_b_16='ViT',
    squeezenet1_0=None,
    alexnet=None,
)
TIMM = dict(
    resnet50='ResNet-50',
    mobilenetv2_100='MobileNetV2',
    mnasnet_100=None,
    efficientnet_b0='EfficientNet or MobileNetV3',
    swin_tiny_patch4_window7_224='Swin-T',
    convnext_tiny='ConvNeXt-T',
    vgg16='VGG',
    regnety_004=None,
    pvt_v2_b0=None,
)
MEET = """
import sys, json
import import_beside
import timm, torch, torchvision
from soco_mm.checkpoint.recognise import recognise_backbone
named = json.loads(sys.argv[1])
with torch.device('meta'):
    models = {
        f'torchvision {name}': getattr(torchvision.models, name)()
        for name in named['torchvision']
    } | {f'timm {name}': timm.create_model(name) for name in named['timm']}
print(json.dumps({
    name: recognise_backbone(model.state_dict()) for name, model in models.items()
}))
"""


@pytest.mark.parametrize('config, name', OURS)
def test_backbones_of_mmdetection_are_recognised(config, name):
    config = dict(config, type=f'mmdet.{config["type"]}')
    state = MODELS.build(config).state_dict()
    assert recognise_backbone(state) == name
    assert recognise_backbone({f'backbone.{k}': v for k, v in state.items()}) == name


@beside.needs('timm')
def test_backbones_of_torchvision_and_timm_are_recognised():
    expected = {f'torchvision {k}': v for k, v in TORCHVISION.items()}
    expected |= {f'timm {k}': v for k, v in TIMM.items()}
    named = json.dumps(dict(torchvision=list(TORCHVISION), timm=list(TIMM)))
    done = beside.run(MEET, named)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == expected
