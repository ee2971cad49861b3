"""Detectors of other people: which tensors they get, and what is refused."""
import pytest
import torch
from mmengine.runner import load_checkpoint

from soco_mm.apis.detector_config import inheriting_config
from soco_mm.apis.export import (WEIGHTS, build_detector, compare_features,
                                 export_detector)
from soco_mm.apis.train import load_config
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError

R18 = """
_base_ = 'mmdet::{base}'
model = dict(
    backbone=dict(depth=18, init_cfg=None),
    neck=dict(in_channels=[64, 128, 256, 512]))
"""


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """A training checkpoint of ResNet-18-FPN with statistics of its own."""
    cfg = load_config('soco_r18_fpn_quick')
    cfg.model.projector.hid_channels = 8
    cfg.model.head.predictor.hid_channels = 8
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.weight.data.uniform_(.5, 1)
    path = tmp_path_factory.mktemp('pretrained') / 'epoch_1.pth'
    torch.save(
        dict(
            meta=dict(cfg=cfg.pretty_text), state_dict=model.state_dict()),
        path)
    return path, model


def detector(tmp_path, base):
    path = tmp_path / 'detector.py'
    path.write_text(R18.format(base=base))
    return path


@pytest.mark.parametrize('base, start, levels', [
    ('retinanet/retinanet_r50_fpn_1x_coco.py', 1, 3),
    ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', 1, 3),
    ('atss/atss_r50_fpn_1x_coco.py', 1, 3),
    ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 0, 4),
    ('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', 0, 4),
])
def test_an_fpn_gets_the_weights_of_its_own_levels(pretrained, tmp_path, base,
                                                   start, levels):
    path, model = pretrained
    report = export_detector(
        None,
        path,
        tmp_path / 'out',
        detector=detector(tmp_path, base),
        adapt=True)
    assert report.max_difference < 1e-4 and report.unused == []
    assert not report.parts['backbone'].new
    assert len(report.parts['neck'].filled) == levels * 2 * 6
    if start:  # the head of one stage is a part by its own name, and new
        head = report.parts['bbox_head']
        assert head.total == len(head.new) > 0
        assert f'bbox_head      0/{head.total}' in report.describe()
    built = build_detector(report.config)
    load_checkpoint(built, str(tmp_path / 'out' / WEIGHTS))
    for level in range(levels):
        for kind in ('lateral_convs', 'fpn_convs'):
            ours = getattr(model.neck, kind)[level + start].conv.weight
            theirs = getattr(built.neck, kind)[level].conv.weight
            assert torch.equal(ours, theirs), (kind, level)


def test_weights_on_the_wrong_level_are_noticed(pretrained, tmp_path):
    """What a plain load does: P2's weights on P3 and so on, without a word."""
    path, model = pretrained
    report = export_detector(
        None,
        path,
        tmp_path / 'out',
        detector=detector(tmp_path, 'retinanet/retinanet_r50_fpn_1x_coco.py'),
        adapt=True)
    built = build_detector(report.config)
    image = torch.randn(1, 3, 96, 96)
    load_checkpoint(built, str(tmp_path / 'out' / WEIGHTS))
    assert compare_features(model.eval(), built, image) < 1e-4
    load_checkpoint(built, str(path))
    with pytest.raises(SoCoError, match='features differ'):
        compare_features(model.eval(), built, image)


def test_a_backbone_that_would_stay_fixed_is_noted(pretrained, tmp_path):
    path, _ = pretrained
    config = detector(tmp_path, 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    with config.open('a') as stream:
        stream.write("model['neck']['norm_cfg'] = dict(type='BN')\n")
    report = export_detector(None, path, tmp_path / 'out', detector=config)
    assert 'frozen_stages=1, norm_eval=True' in report.describe()
    report = export_detector(
        None, path, tmp_path / 'out', detector=config, adapt=True)
    assert report.notes == []


def test_every_box_head_of_a_cascade_is_filled_if_it_has_the_layers(
        pretrained, tmp_path):
    path, model = pretrained
    config = detector(tmp_path,
                      'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py')
    with config.open('a') as stream:
        stream.write("""
norm_cfg = dict(type='SyncBN', requires_grad=True)
model['roi_head'] = dict(bbox_head=[dict(
    type='Shared4Conv1FCBBoxHead', in_channels=256, fc_out_channels=1024,
    roi_feat_size=7, num_classes=3, norm_cfg=norm_cfg,
    bbox_coder=dict(
        type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.],
        target_stds=[0.1, 0.1, 0.2, 0.2]),
    reg_class_agnostic=True,
    loss_cls=dict(type='CrossEntropyLoss'),
    loss_bbox=dict(type='SmoothL1Loss')) for _ in range(3)])
""")
    report = export_detector(
        None, path, tmp_path / 'out', detector=config, adapt=True)
    own = len(model.roi_head.bbox_head.state_dict())
    assert len(report.parts['box head'].filled) == 3 * own
    # MMDetection's usual head has other layers, so it starts anew.
    plain = detector(tmp_path, 'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py')
    report = export_detector(
        None, path, tmp_path / 'out', detector=plain, adapt=True)
    assert not report.parts['box head'].filled


def test_a_c4_model_fills_all_four_stages_of_a_backbone(tmp_path):
    cfg = load_config('soco_r50_c4_100e')
    cfg.model.projector.hid_channels = 8
    cfg.model.head.predictor.hid_channels = 8
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'c4.pth')
    report = export_detector(
        cfg,
        tmp_path / 'c4.pth',
        tmp_path / 'out',
        detector='mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        adapt=True)
    assert len(report.parts['backbone'].filled) == 318
    assert not report.parts['backbone'].new
    assert not report.parts['neck'].filled


def test_what_does_not_fit_is_refused_with_the_reason(pretrained, tmp_path):
    path, _ = pretrained

    def refused(words, error=SoCoError, config=None, **kwargs):
        with pytest.raises(error, match=words):
            export_detector(
                kwargs.pop('cfg', None),
                kwargs.pop('path', path),
                tmp_path / 'out',
                detector=config,
                **kwargs)
        assert not (tmp_path / 'out').exists()

    retinanet = 'retinanet/retinanet_r50_fpn_1x_coco.py'
    refused('its neck has no batch norm.*--adapt',
            config=detector(tmp_path, retinanet))
    refused('of different widths or depths',
            config=f'mmdet::{retinanet}', adapt=True)
    refused('cannot be read', UsageError, config=tmp_path / 'none.py')
    refused('cannot be read', UsageError, config='mmdet::none/none.py')
    unrelated = tmp_path / 'unrelated.pth'
    torch.save(dict(state_dict={'fc.weight': torch.ones(1)}), unrelated)
    refused('does not say which model', path=unrelated)
    refused('holds no backbone', path=unrelated,
            cfg=load_config('soco_r18_fpn_quick'))
    unrelated.write_bytes(path.read_bytes()[:-300])
    refused('truncated', path=unrelated)


def test_the_written_config_changes_no_more_than_it_says(tmp_path):
    model = load_config('soco_r50_fpn_100e').model
    base = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
    name, text = inheriting_config(base, model, 'w.pth', adapt=False)
    assert name == 'retinanet_r50_fpn_1x_coco.py'
    assert "model = {'backbone': {'init_cfg': None}}" in text
    assert f'_base_ = {base!r}' in text and 'load_from' in text


def test_a_detector_that_will_not_fit_is_refused_before_the_training(
        tmp_path, demo_images, store):
    from soco_mm.apis.pretrain import pretrain
    retinanet = detector(tmp_path, 'retinanet/retinanet_r50_fpn_1x_coco.py')
    with pytest.raises(SoCoError, match='its neck has no batch norm'):
        pretrain(
            demo_images,
            tmp_path / 'RUN',
            'soco_r18_fpn_quick',
            proposals=store,
            detector=retinanet)
    assert not (tmp_path / 'RUN').exists()
