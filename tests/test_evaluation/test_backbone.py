import pytest
import small
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from soco_mm.checkpoint import detector_weights
from soco_mm.engine.config import load_config
from soco_mm.evaluation import LinearProbe, backbone_config, load_backbone
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError


def pretrained(name):
    """A model of a recipe, its batch norms moved, and its config."""
    cfg = load_config(name, small.RECIPES.get(name, small.MLP))
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    # SoCo computes in channels-last, which rounds differently.
    model.to(memory_format=torch.contiguous_format)
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.running_mean.normal_()
            module.weight.data.uniform_(0.5, 1)
    return model, cfg.model


def build(config):
    backbone = MODELS.build(config)
    backbone.eval()
    return backbone


def test_c4_gets_its_res5_back(tmp_path):
    model, cfg = pretrained('soco_r50_c4_100e')
    torch.save(
        dict(state_dict=detector_weights(model.state_dict())), tmp_path / 'weights.pth'
    )
    backbone = build(backbone_config(cfg))
    load_backbone(backbone, tmp_path / 'weights.pth')
    image = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        (features,) = backbone(image)
        expected = model.roi_head.shared_head(model.backbone(image)[-1])
    assert features.shape == (2, 2048, 3, 3)
    assert torch.equal(features, expected) and features.any()

    # An ordinary ResNet-50 with the same weights.
    ordinary = build(dict(type='mmdet.ResNet', depth=50))
    ordinary.load_state_dict(backbone.state_dict())
    with torch.no_grad():
        assert torch.equal(ordinary(image)[-1], features)


@pytest.mark.parametrize(
    'name', ['soco_r50_fpn_100e', 'soco_swin-t_fpn_100e', 'soco_convnext-t_fpn_100e']
)
def test_training_checkpoints_fill_the_backbone(name, tmp_path):
    model, cfg = pretrained(name)
    small.save(tmp_path / 'epoch_1.pth', model)
    backbone = build(backbone_config(cfg))
    load_backbone(backbone, tmp_path / 'epoch_1.pth')
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(backbone(image)[-1], model.backbone(image)[-1])


@pytest.mark.parametrize(
    'name', ['soco_r18_fpn_100e', 'soco_swin-t_fpn_100e', 'soco_convnext-t_fpn_100e']
)
def test_nothing_of_the_backbone_trains(name):
    probe = LinearProbe(
        backbone_config(load_config(name).model),
        checkpoint='none',
        neck=dict(type='mmcls.GlobalAveragePooling'),
        head=dict(
            type='mmcls.LinearClsHead',
            num_classes=2,
            in_channels=512 if 'r18' in name else 768,
            loss=dict(type='mmcls.CrossEntropyLoss'),
        ),
    )
    probe.train()
    assert probe.head.fc.training
    assert not any(module.training for module in probe.backbone.modules())
    before = {k: v.clone() for k, v in probe.backbone.state_dict().items()}
    probe(torch.randn(2, 3, 64, 64)).sum().backward()
    assert probe.head.fc.weight.grad is not None
    assert all(p.grad is None for p in probe.backbone.parameters())
    for key, value in probe.backbone.state_dict().items():
        assert torch.equal(value, before[key]), key


def test_checkpoint_of_another_depth_is_refused(small_model, tmp_path):
    path = tmp_path / 'r18.pth'
    state = detector_weights(small_model.state_dict())
    torch.save(dict(state_dict=state), path)
    r50 = build(dict(type='mmdet.ResNet', depth=50, base_channels=16))
    with pytest.raises(SoCoError, match=r'layer1.*and \d+ more.*Give the'):
        load_backbone(r50, path)
    r18 = build(dict(type='mmdet.ResNet', depth=18, base_channels=16))
    state.pop('backbone.layer3.0.bn1.running_var')
    torch.save(dict(state_dict=state), path)
    with pytest.raises(SoCoError, match='missing tensor layer3.0.bn1.running_var'):
        load_backbone(r18, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(SoCoError, match='truncated'):
        load_backbone(r18, path)
    torch.save(dict(state_dict={'fc.weight': torch.ones(1)}), path)
    with pytest.raises(SoCoError, match='no backbone'):
        load_backbone(r18, path)
