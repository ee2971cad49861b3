"""f^H built from a detector's own config: the same layers, names and features."""

import copy

import pytest
import torch
from mmengine.model import revert_sync_batchnorm

from soco_mm.models import ObjectConvFCHead, ObjectDenseHead, ObjectRoIHead
from soco_mm.models.utils import build_detector_part
from soco_mm.registry import MODELS

RETINA = dict(type='RetinaHead', num_classes=3, in_channels=16, feat_channels=8)
RTMDET = dict(
    type='RTMDetSepBNHead',
    num_classes=3,
    in_channels=16,
    feat_channels=8,
    stacked_convs=2,
    share_conv=True,
    anchor_generator=dict(type='MlvlPointGenerator', offset=0, strides=[8, 16, 32]),
    bbox_coder=dict(type='DistancePointBBoxCoder'),
    loss_cls=dict(type='QualityFocalLoss', use_sigmoid=True),
    loss_bbox=dict(type='GIoULoss'),
    norm_cfg=dict(type='BN'),
    act_cfg=dict(type='SiLU', inplace=True),
)
FCS = dict(type='Shared2FCBBoxHead', in_channels=8, fc_out_channels=16, num_classes=3)


def test_the_towers_have_the_names_of_the_detector():
    head = ObjectDenseHead(RETINA)
    theirs = build_detector_part(RETINA).state_dict()
    ours = head.state_dict()
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape
        for name, value in theirs.items()
        if name.startswith(('cls_convs', 'reg_convs'))
    }
    assert len(ours) == 2 * 4 * 2  # weight and bias of four convolutions each


def test_a_tower_computes_what_the_detector_puts_before_its_predictors():
    head = ObjectDenseHead(RETINA)
    whole = build_detector_part(RETINA)
    whole.load_state_dict(head.state_dict(), strict=False)
    seen = {}
    for name in ('retina_cls', 'retina_reg'):
        whole.get_submodule(name).register_forward_pre_hook(
            lambda module, args, name=name: seen.update({name: args[0]})
        )
    x = torch.rand(2, 16, 7, 7)
    whole.forward_single(x)
    expected = torch.cat(
        [seen[name].mean((2, 3)) for name in ('retina_cls', 'retina_reg')], 1
    )
    torch.testing.assert_close(head(x, torch.zeros(2, dtype=torch.long)), expected)


def test_separate_towers_run_over_the_objects_of_their_level():
    head = ObjectDenseHead(RTMDET)
    assert head.separate
    for level, convs in enumerate(head.cls_convs):
        for conv in convs:
            torch.nn.init.constant_(conv.bn.weight, level + 1)
    head.eval()
    x = torch.rand(4, 16, 7, 7)
    levels = torch.tensor([2, 0, 2, 1])
    whole = build_detector_part(RTMDET).eval()
    whole.load_state_dict(head.state_dict(), strict=False)
    for index, level in enumerate(levels):
        cls = reg = x[index : index + 1]
        for layer in whole.cls_convs[level]:
            cls = layer(cls)
        for layer in whole.reg_convs[level]:
            reg = layer(reg)
        expected = torch.cat([cls.mean((2, 3)), reg.mean((2, 3))], 1)[0]
        torch.testing.assert_close(head(x, levels)[index], expected)


def test_a_level_without_objects_keeps_its_statistics_and_has_gradients():
    head = ObjectDenseHead(RTMDET)
    head(torch.rand(3, 16, 7, 7), torch.tensor([0, 0, 1])).sum().backward()
    assert all(each.grad is not None for each in head.parameters())
    norms = [head.cls_convs[level][0].bn for level in range(3)]
    assert norms[0].running_mean.abs().sum() > 0
    assert norms[2].running_mean.abs().sum() == 0  # nothing was seen
    assert all(norm.running_var.isfinite().all() for norm in norms)
    # One convolution is shared by all levels.
    assert head.cls_convs[0][0].conv is head.cls_convs[2][0].conv


def test_heads_without_towers_are_refused():
    with pytest.raises(ValueError, match='SSDHead has no towers'):
        # Its cls_convs predict at once.
        anchors = dict(
            type='SSDAnchorGenerator',
            scale_major=False,
            input_size=300,
            basesize_ratio_range=(0.15, 0.9),
            strides=[8, 16, 32, 64, 100, 300],
            ratios=[[2], [2, 3], [2, 3], [2, 3], [2], [2]],
        )
        ObjectDenseHead(dict(type='SSDHead', num_classes=3, anchor_generator=anchors))
    with pytest.raises(ValueError, match='BBoxHead has no layers'):
        ObjectConvFCHead(dict(type='BBoxHead', num_classes=3))


@pytest.mark.parametrize(
    'cls, cfg', [(ObjectDenseHead, RETINA), (ObjectConvFCHead, FCS)]
)
def test_layers_start_as_the_detectors_do(cls, cfg):
    head = cls(cfg)
    torch.manual_seed(3)
    head.init_weights()
    torch.manual_seed(3)
    whole = build_detector_part(cfg)
    whole.init_weights()
    for name, value in head.state_dict().items():
        assert torch.equal(value, whole.state_dict()[name]), name
    assert cfg == head.head_cfg


def test_shared_layers_compute_what_the_detector_does():
    head = ObjectConvFCHead(FCS)
    whole = build_detector_part(FCS)
    whole.load_state_dict(head.state_dict(), strict=False)
    seen = []
    whole.fc_cls.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    x = torch.rand(2, 8, 7, 7)
    whole(x)
    torch.testing.assert_close(head(x), seen[0])


def test_the_stages_of_a_cascade_are_averaged():
    extractor = dict(
        type='ScaleAwareRoIExtractor', featmap_strides=[8], scale_bounds=[64]
    )
    own = dict(type='ObjectConvFCHead', head=FCS)
    roi_head = ObjectRoIHead(extractor, [own, copy.deepcopy(own)])
    assert 'bbox_head.1.shared_fcs.0.weight' in roi_head.state_dict()
    feats, boxes = (torch.rand(1, 8, 8, 8),), torch.tensor([[[0.0, 0, 32, 32]]])
    x = roi_head.bbox_roi_extractor(feats, boxes)
    expected = (roi_head.bbox_head[0](x) + roi_head.bbox_head[1](x)) / 2
    torch.testing.assert_close(roi_head(feats, boxes), expected)


def test_a_detectors_head_can_be_the_head_of_the_model():
    cfg = dict(
        type='SoCo',
        backbone=dict(type='mmdet.ResNet', depth=18, base_channels=16, norm_eval=False),
        neck=dict(
            type='mmdet.FPN',
            in_channels=[16, 32, 64, 128],
            out_channels=16,
            start_level=1,
            num_outs=3,
        ),
        roi_head=dict(
            type='ObjectRoIHead',
            bbox_roi_extractor=dict(
                type='ScaleAwareRoIExtractor',
                featmap_strides=[8, 16, 32],
                scale_bounds=[16, 32, 64],
            ),
        ),
        bbox_head=dict(type='ObjectDenseHead', head=RTMDET),
        projector=dict(
            type='NonLinearNeck',
            in_channels=16,
            hid_channels=32,
            out_channels=8,
            with_avg_pool=False,
        ),
        head=dict(
            type='SoCoHead',
            predictor=dict(
                type='NonLinearNeck',
                in_channels=8,
                hid_channels=32,
                out_channels=8,
                with_avg_pool=False,
            ),
        ),
    )
    model = revert_sync_batchnorm(MODELS.build(cfg))
    names = [name for name in model.state_dict() if name.startswith('bbox_head.')]
    assert names and f'target_net.module.{names[0]}' in model.state_dict()
    model.init_weights()
    views = [torch.rand(2, 3, 64, 64) for _ in range(2)]
    box = torch.tensor([[[0.0, 0, 12, 12], [4, 4, 60, 60]]]).expand(2, -1, -1)
    valid = torch.ones(2, 2, dtype=torch.bool)
    model.loss(views, [box, box], [valid, valid])['loss'].backward()
    for name in names:
        if name in dict(model.named_parameters()):
            assert model.get_parameter(name).grad is not None, name
