"""Detectors of other people: which tensors they get, and what is refused."""

import re

import pytest
import small
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from soco_mm.apis.export import export_detector
from soco_mm.cli import main
from soco_mm.detectors.build import build_detector
from soco_mm.detectors.features import compare_features
from soco_mm.detectors.fit import WEIGHTS
from soco_mm.detectors.inheriting import inheriting_config
from soco_mm.engine.config import load_config
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError

R18 = """
_base_ = 'mmdet::{base}'
model = dict(
    backbone=dict(depth=18, base_channels=16, init_cfg=None),
    neck=dict(in_channels=[16, 32, 64, 128]))
"""


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """A training checkpoint of a narrow ResNet-18 with statistics of its own."""
    cfg = load_config(small.SOCO, small.USUAL_FPN)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.weight.data.uniform_(0.5, 1)
    path = tmp_path_factory.mktemp('pretrained') / 'epoch_1.pth'
    small.save(path, model, cfg)
    return path, model


def detector(tmp_path, base, part=None, **settings):
    """A config of a detector on ResNet-18, some settings changed."""
    path = tmp_path / 'detector.py'
    path.write_text(
        R18.format(base=base)
        + ''.join(
            f'model[{part!r}][{key!r}] = {value!r}\n' for key, value in settings.items()
        )
    )
    return path


@pytest.mark.parametrize(
    'base, start, levels',
    [
        ('retinanet/retinanet_r50_fpn_1x_coco.py', 1, 3),
        ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', 1, 3),
        ('atss/atss_r50_fpn_1x_coco.py', 1, 3),
        ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 0, 4),
        ('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', 0, 4),
    ],
)
def test_an_fpn_gets_the_weights_of_its_own_levels(
    pretrained, tmp_path, base, start, levels
):
    path, model = pretrained
    report = export_detector(
        path, tmp_path / 'out', detector=detector(tmp_path, base), adapt=True
    )
    assert report.max_difference < 1e-4
    # P2 if the FPN starts above, and the box head, which has other layers.
    unused = [
        key
        for key in model.state_dict()
        if key.startswith('roi_head.') or (start and re.match(r'neck\.\w+\.0\.', key))
    ]
    assert sorted(report.unused) == sorted(unused)
    assert '26 of the box head' in report.describe()
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
        path,
        tmp_path / 'out',
        detector=detector(tmp_path, 'retinanet/retinanet_r50_fpn_1x_coco.py'),
        adapt=True,
    )
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
    report = export_detector(path, tmp_path / 'out', detector=config)
    notes = report.describe()
    assert 'backbone.frozen_stages=1, backbone.norm_eval=True' in notes
    report = export_detector(path, tmp_path / 'out', detector=config, adapt=True)
    assert report.notes == []


def test_every_box_head_of_a_cascade_is_filled_if_it_has_the_layers(
    pretrained, tmp_path
):
    path, model = pretrained
    config = detector(tmp_path, 'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py')
    with config.open('a') as stream:
        stream.write("""
norm_cfg = dict(type='SyncBN', requires_grad=True)
model['roi_head'] = dict(bbox_head=[dict(
    type='Shared4Conv1FCBBoxHead', in_channels=256, conv_out_channels=32,
    fc_out_channels=64,
    roi_feat_size=7, num_classes=3, norm_cfg=norm_cfg,
    bbox_coder=dict(
        type='DeltaXYWHBBoxCoder', target_means=[0., 0., 0., 0.],
        target_stds=[0.1, 0.1, 0.2, 0.2]),
    reg_class_agnostic=True,
    loss_cls=dict(type='CrossEntropyLoss'),
    loss_bbox=dict(type='SmoothL1Loss')) for _ in range(3)])
""")
    report = export_detector(path, tmp_path / 'out', detector=config, adapt=True)
    own = len(model.roi_head.bbox_head.state_dict())
    assert len(report.parts['box head'].filled) == 3 * own
    # MMDetection's usual head has other layers, so it starts anew.
    plain = detector(tmp_path, 'cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py')
    report = export_detector(path, tmp_path / 'out', detector=plain, adapt=True)
    assert not report.parts['box head'].filled


@pytest.fixture(scope='module')
def pretrained_c4(tmp_path_factory):
    """A training checkpoint on C4 with statistics of its own."""
    cfg = load_config('soco_r50_c4_100e')
    cfg.model.projector.hid_channels = 8
    cfg.model.head.predictor.hid_channels = 8
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.weight.data.uniform_(0.5, 1)
    path = tmp_path_factory.mktemp('pretrained') / 'c4.pth'
    small.tie_inputs(model)
    small.save(path, model)
    return cfg, path


def test_mmdetections_detectors_on_c4_can_be_adapted(pretrained_c4, tmp_path):
    """They have Caffe's strides and fixed norms, in res5 too."""
    cfg, path = pretrained_c4
    c4 = 'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py'
    refused(tmp_path, 'differ|otherwise', path, cfg=cfg, detector=c4)
    report = export_detector(
        path, tmp_path / 'out', config=cfg, detector=c4, adapt=True
    )
    assert len(report.parts['backbone'].filled) == 258
    assert len(report.parts['shared head'].filled) == 60
    assert report.max_difference < 1e-4 and report.notes == []
    head = Config.fromfile(report.config).model.roi_head.shared_head
    assert head.style == 'pytorch' and head.norm_cfg.type == 'SyncBN'


def test_a_c4_model_fills_all_four_stages_of_a_backbone(pretrained_c4, tmp_path):
    cfg, path = pretrained_c4
    report = export_detector(
        path,
        tmp_path / 'out',
        config=cfg,
        detector='mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        adapt=True,
    )
    assert len(report.parts['backbone'].filled) == 318
    assert not report.parts['backbone'].new
    assert not report.parts['neck'].filled


def refused(tmp_path, words, checkpoint, error=SoCoError, **kwargs):
    """What an export says that is refused; nothing is written."""
    with pytest.raises(error, match=words):
        export_detector(
            checkpoint, tmp_path / 'out', config=kwargs.pop('cfg', None), **kwargs
        )
    assert not list(tmp_path.glob('out*'))


def test_what_does_not_fit_is_refused_with_the_reason(pretrained, tmp_path):
    path, _ = pretrained
    retinanet = 'retinanet/retinanet_r50_fpn_1x_coco.py'
    for config, words in (
        (detector(tmp_path, retinanet), 'its neck has no batch norm.*--adapt'),
        (f'mmdet::{retinanet}', 'its neck has no batch norm|widths or depths'),
        (
            'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py',
            'of the class SwinTransformer, but ResNet was pretrained',
        ),
        ('mmdet::pafpn/faster-rcnn_r50_pafpn_1x_coco.py', 'widths or depths'),
    ):
        refused(tmp_path, words, path, detector=config)
    refused(
        tmp_path,
        'have different widths or depths',
        path,
        detector=f'mmdet::{retinanet}',
        adapt=True,
    )
    deeper = detector(tmp_path, retinanet, 'backbone', depth=34)
    refused(
        tmp_path,
        'backbone of the detector is deeper',
        path,
        detector=deeper,
        adapt=True,
    )
    unrelated = tmp_path / 'unrelated.pth'
    torch.save(dict(state_dict={'fc.weight': torch.ones(1)}), unrelated)
    refused(tmp_path, 'does not say which model', unrelated)
    refused(
        tmp_path, 'holds no backbone', unrelated, cfg=load_config('soco_r18_fpn_quick')
    )
    unrelated.write_bytes(path.read_bytes()[:-300])
    refused(tmp_path, 'truncated', unrelated)
    refused(tmp_path, 'is a folder', tmp_path, UsageError)


def test_what_is_no_config_of_a_detector_is_refused(pretrained, tmp_path):
    path, _ = pretrained
    config = tmp_path / 'mine.py'
    for text, words in (
        ('a = (', r'cannot be read: SyntaxError'),
        ('a = 1', 'has no model'),
        ("model = dict(type='SoftTeacher')", 'no backbone of its own'),
        (
            "model = dict(type='LAD', backbone=dict(), teacher_ckpt='x')",
            'with a teacher',
        ),
        (
            "model = dict(type='NoSuch', backbone=dict())",
            'cannot build the detector of .*mine.py: KeyError',
        ),
        (
            'from mmdet.models import FPN\nmodel = dict(neck=FPN)',
            r'uses read_base\(\)',
        ),
    ):
        config.write_text(text)
        refused(tmp_path, words, path, UsageError, detector=config)
    refused(
        tmp_path, 'cannot be read', path, UsageError, detector='mmdet::none/none.py'
    )
    for detector in (
        'mmdet::retinanet/retinanet_r50-fpn_1x_coco.py',
        'retinanet/retinanet_r50_fpn_1x_coco.py',
        'retinanet_r50_fpn_1x_coco',
    ):
        meant = 'mean mmdet::retinanet/retinanet_r50_fpn_1x_coco.py?'
        refused(tmp_path, re.escape(meant), path, UsageError, detector=detector)


@pytest.mark.parametrize('norm', ['None', "dict(type='GN', num_groups=32)"])
def test_other_norms_are_replaced(pretrained, tmp_path, norm):
    path, _ = pretrained
    config = detector(tmp_path, 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    with config.open('a') as stream:
        stream.write(f'model["neck"]["norm_cfg"] = {norm}\n')
    report = export_detector(path, tmp_path / 'out', detector=config, adapt=True)
    assert not report.parts['neck'].new and not report.parts['backbone'].new
    norms = Config.fromfile(report.config).model.neck.norm_cfg
    assert norms == dict(type='SyncBN', requires_grad=True)


def test_mmcvs_synchronised_norms_are_filled(pretrained, tmp_path):
    path, _ = pretrained
    norm = dict(type='MMSyncBN', requires_grad=True)
    config = detector(
        tmp_path, 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 'neck', norm_cfg=norm
    )
    report = export_detector(path, tmp_path / 'out', detector=config)
    assert len(report.parts['neck'].filled) == 48
    assert Config.fromfile(report.config).model.neck.norm_cfg == norm


def test_other_pixels_are_refused_or_replaced(pretrained, tmp_path):
    """Of a backbone in Caffe's style: BGR, and not divided."""
    path, _ = pretrained
    config = detector(tmp_path, 'faster_rcnn/faster-rcnn_r50-caffe_fpn_1x_coco.py')
    with config.open('a') as stream:
        stream.write(
            "model['neck']['norm_cfg'] = dict(type='BN')\n"
            "model['backbone']['style'] = 'pytorch'\n"
        )
    refused(
        tmp_path, r'normalises images differently.*BGR, not RGB', path, detector=config
    )
    report = export_detector(path, tmp_path / 'out', detector=config, adapt=True)
    pixels = build_detector(report.config).data_preprocessor
    assert pixels._channel_conversion
    assert pixels.std.flatten().tolist() == pytest.approx([58.395, 57.12, 57.375])


def test_a_detector_that_normalises_nothing_is_refused_unless_its_pipeline_does(
    pretrained, tmp_path
):
    path, _ = pretrained
    config = detector(tmp_path, 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    plain = "dict(_delete_=True, type='DetDataPreprocessor', pad_size_divisor=32)"
    with config.open('a') as stream:
        stream.write(
            "model['neck']['norm_cfg'] = dict(type='BN')\n"
            f"model['data_preprocessor'] = {plain}\n"
        )
    refused(tmp_path, r'mean \[0.0, 0.0, 0.0\], not .*BGR, not', path, detector=config)

    def normalise(statistics):
        with config.open('a') as stream:
            stream.write(
                'test_dataloader = dict(dataset=dict(pipeline=['
                f"dict(type='LoadImageFromFile'), dict(type='Normalize', {statistics}), "
                "dict(type='PackDetInputs')]))\n"
            )

    imagenet = 'mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]'
    # --adapt does not change pipelines, and would normalise twice.
    for adapt in (False, True):
        normalise('mean=[0.0] * 3, std=[1.0] * 3')
        words = r'mean \[0.0, 0.0, 0.0\], not .*\)\. Set Normalize of its pipelines'
        refused(tmp_path, words, path, detector=config, adapt=adapt)
        normalise(f'{imagenet}, to_rgb=False')
        refused(tmp_path, 'BGR, not RGB', path, detector=config, adapt=adapt)
        normalise(imagenet)
        export_detector(path, tmp_path / f'made_{adapt}', detector=config, adapt=adapt)
    with config.open('a') as stream:
        stream.write(f"model['data_preprocessor'].update({imagenet})\n")
    refused(tmp_path, 'normalises images twice', path, detector=config)


def test_norms_that_are_fixed_are_noted(pretrained, tmp_path):
    path, _ = pretrained
    config = detector(
        tmp_path,
        'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
        'backbone',
        frozen_stages=-1,
        norm_eval=False,
        norm_cfg=dict(type='BN', requires_grad=False),
    )
    with config.open('a') as stream:
        stream.write("model['neck']['norm_cfg'] = dict(type='BN')\n")
    report = export_detector(path, tmp_path / 'out', detector=config)
    assert '(backbone.norm_cfg.requires_grad=False)' in report.notes[0]


def test_a_backbone_alone_goes_where_there_is_another_neck(pretrained, tmp_path):
    path, model = pretrained
    config = tmp_path / 'detector.py'
    config.write_text("""
_base_ = 'mmdet::detr/detr_r50_8xb2-150e_coco.py'
model = dict(
    backbone=dict(depth=18, base_channels=16), neck=dict(in_channels=[128]))
""")
    refused(
        tmp_path,
        'class ChannelMapper.*--parts backbone',
        path,
        detector=config,
        adapt=True,
    )
    report = export_detector(
        path, tmp_path / 'out', detector=config, adapt=True, backbone_only=True
    )
    assert report.max_difference < 1e-4
    assert len(report.parts['backbone'].filled) == 120
    assert not report.parts['neck'].filled and report.parts['neck'].new
    assert '48 of the neck, 26 of the box head' in report.describe()
    built = build_detector(report.config)
    load_checkpoint(built, str(tmp_path / 'out' / WEIGHTS))
    assert torch.equal(
        built.backbone.layer4[1].conv2.weight, model.backbone.layer4[1].conv2.weight
    )


def test_the_written_config_changes_no_more_than_it_says(tmp_path):
    model = load_config('soco_r50_fpn_100e').model
    base = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
    name, text = inheriting_config(base, model, 'w.pth', adapt=False)
    assert name == 'retinanet_r50_fpn_1x_coco.py'
    assert "model = {'backbone': {'init_cfg': None}}" in text
    assert f'_base_ = {base!r}' in text and 'load_from' in text
    # A backbone that is not handed over starts as the detector starts it.
    for each in (base, 'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'):
        text = inheriting_config(each, model, 'w.pth', True, ('neck', 'head'))[1]
        assert "model = {'neck': {'norm_cfg'" in text
        assert not re.search('init_cfg|style|data_preprocessor', text)


@pytest.mark.parametrize(
    ('given', 'expected'), [('torchvision://resnet50', None), (True, False)]
)
def test_no_other_weights_are_downloaded(tmp_path, given, expected):
    """Whichever way the detector's config names them."""
    path = tmp_path / 'detector.py'
    path.write_text(
        "_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'\n"
        f'model = dict(backbone=dict(init_cfg=None, pretrained={given!r}))\n'
    )
    model = load_config('soco_r50_fpn_100e').model
    name, text = inheriting_config(path, model, 'w.pth', adapt=False)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / name).write_text(text)
    backbone = Config.fromfile(tmp_path / 'out' / name).model.backbone
    assert backbone.init_cfg is None and backbone.pretrained is expected


def test_a_detector_that_will_not_fit_is_refused_before_the_training(
    tmp_path, demo_images, store
):
    from soco_mm.apis.pretrain import pretrain

    retinanet = 'retinanet/retinanet_r50_fpn_1x_coco.py'
    for norm, words in (
        (None, 'its neck has no batch norm'),
        # All tensors fit, but they compute something else.
        (dict(type='BN', eps=0.1), 'features differ.*P3'),
    ):
        config = detector(tmp_path, retinanet, 'neck', norm_cfg=norm)
        with pytest.raises(SoCoError, match=words):
            pretrain(
                demo_images,
                tmp_path / 'RUN',
                config=small.SOCO,
                options=small.USUAL_FPN,
                proposals=store,
                detector=config,
            )
        assert not (tmp_path / 'RUN').exists()


@pytest.mark.parametrize(
    'options, words',
    [
        # All tensors fit, but they compute something else.
        ({'model.neck.upsample_cfg': dict(mode='bilinear')}, 'features differ.*P2'),
        (
            {'model.neck.add_extra_convs': 'on_output', 'model.neck.num_outs': 5},
            'neck is deeper.*Without --detector it is the Mask R-CNN',
        ),
        # Not even a model; the error is that of building it.
        ({'model.neck.num_outs': 3}, 'Check what --cfg-options sets'),
    ],
)
def test_a_model_without_a_mask_rcnn_is_refused_before_the_training(
    tmp_path, demo_images, store, options, words
):
    from soco_mm.apis.pretrain import pretrain

    with pytest.raises(SoCoError, match=words):
        pretrain(
            demo_images,
            tmp_path / 'RUN',
            config=small.SOCO,
            options=options,
            proposals=store,
        )
    assert not (tmp_path / 'RUN').exists()


def test_flags_of_a_detector_alone_are_refused(pretrained, tmp_path, capsys):
    path, _ = pretrained
    for flag in ('--adapt', '--backbone-only'):
        for command in (['export', path], ['pretrain', tmp_path]):
            with pytest.raises(SystemExit) as stop:
                main([*map(str, command), '--out', str(tmp_path / 'o'), flag])
            assert stop.value.code == 2
            assert 'add --detector CONFIG' in capsys.readouterr().err


def test_nothing_is_lost_when_an_export_is_replaced(pretrained, tmp_path):
    path, _ = pretrained
    out = tmp_path / "it's mine"
    config = export_detector(path, out).config
    assert Config.fromfile(config).load_from == str(out / WEIGHTS)
    export_detector(path, out)
    with pytest.raises(UsageError, match='is in .*which is replaced'):
        export_detector(path, out, detector=config)
    (out / 'mine.py').write_text("_base_ = 'mask-rcnn_fpn_1x_coco.py'")
    with pytest.raises(UsageError, match='also holds mine.py'):
        export_detector(path, out)
    assert (out / 'mine.py').is_file() and (out / WEIGHTS).is_file()
