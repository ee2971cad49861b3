"""The paper's detection benchmarks: what they start from and how they train.

All figures are those of Sections 4.2 and 4.5, written out here.
"""

import functools
import json

import pytest
import small
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from soco_mm.apis.export import export_detector
from soco_mm.detectors.build import build_detector
from soco_mm.detectors.fit import WEIGHTS
from soco_mm.engine.config import CONFIG_ROOT, load_config
from soco_mm.registry import MODELS

ROOT = CONFIG_ROOT / 'benchmarks/mmdetection'
FILES = sorted(ROOT.rglob('*.py'))
SOCO = [path for path in FILES if not path.stem.endswith(('_scratch', '_supervised'))]
# Learning rate, weight decay, warm-up, length and steps, in epochs or
# iterations.
ONE = (0.02, 2.5e-5, 1000, 90_000, [60_000, 80_000])
TWO = (0.02, 2.5e-5, 1000, 180_000, [120_000, 160_000])
SCHEDULES = {
    'coco/mask-rcnn_r50_fpn_1x_coco': ONE,
    'coco/mask-rcnn_r50_fpn_2x_coco': TWO,
    'coco/mask-rcnn_r50_fpn_4x_coco': (0.02, 2.5e-5, 1000, 360_000, [240_000, 320_000]),
    'coco/mask-rcnn_r50_c4_1x_coco': ONE,
    'coco/mask-rcnn_r50_c4_2x_coco': TWO,
    'coco/retinanet_r50_fpn_1x_coco': (0.01, 1e-4, 500, 12, [8, 11]),
    'coco/fcos_r50_fpn_gn-head_1x_coco': (0.01, 1e-4, 500, 12, [8, 11]),
    'lvis/mask-rcnn_r50_fpn_1x_lvis-v1': ONE,
    'lvis/mask-rcnn_r50_fpn_2x_lvis-v1': TWO,
    'voc/faster-rcnn_r50_c4_24k_voc0712': (0.02, 1e-4, 100, 24_000, [18_000, 22_000]),
    **{
        f'mini_coco/mask-rcnn_r50_fpn_90k_coco-{share}pct': ONE for share in (5, 10, 50)
    },
}
# ResNet-50: its stem and 3 + 4 + 6 + 3 bottlenecks of 3 convolutions, and 4
# shortcuts. A convolution and its batch norm are 1 + 5 tensors.
RESNET, RES5 = 6 * 53, 6 * (3 * 3 + 1)
CONV, FC = 6, 2
NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


def name_of(path):
    return str(path.relative_to(ROOT).with_suffix(''))


def test_there_is_a_file_for_every_benchmark_and_start():
    assert sorted(SCHEDULES) == [name_of(path) for path in SOCO]
    assert len(FILES) == 3 * len(SOCO)


@pytest.mark.parametrize('path', FILES, ids=name_of)
def test_a_resolved_config_holds_no_parts_for_others(path):
    cfg = Config.fromfile(path)
    assert 'parts' not in cfg and '_delete_' not in cfg.pretty_text


@pytest.fixture(scope='module')
def checkpoints(tmp_path_factory):
    """Checkpoints of SoCo with FPN and with C4, as after a pretraining."""
    folder = tmp_path_factory.mktemp('pretrained')

    @functools.lru_cache(None)
    def make(kind):
        name = f'soco_r50_{kind}_100e'
        cfg = load_config(name, small.RECIPES.get(name, small.MLP))
        torch.manual_seed(0)
        model = MODELS.build(cfg.model)
        for module in model.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_()
        path = folder / f'{kind}.pth'
        if name not in small.RECIPES:
            small.tie_inputs(model)
        small.save(path, model, cfg)
        return path

    return make


def narrow(path, folder):
    """A detector with an FPN, as narrow as the checkpoint."""
    model = Config.fromfile(path).model
    changes = dict(backbone=dict(base_channels=16))
    changes['neck'] = dict(in_channels=[64, 128, 256, 512])
    if 'roi_head' in model:
        head = dict(conv_out_channels=32, fc_out_channels=64)
        changes['roi_head'] = dict(bbox_head=head)
    (folder / 'detector.py').write_text(f'_base_ = {str(path)!r}\nmodel = {changes}\n')
    return folder / 'detector.py'


def model_key(path):
    """One for all files of the same detector."""
    return json.dumps(Config.fromfile(path).model.to_dict(), sort_keys=True)


DISTINCT = list({model_key(path): path for path in reversed(SOCO)}.values())


@pytest.mark.parametrize('path', DISTINCT, ids=name_of)
def test_an_export_fills_all_that_was_pretrained(path, checkpoints, tmp_path):
    c4 = '_c4_' in path.stem
    dense = path.stem.startswith(('retinanet', 'fcos'))
    report = export_detector(
        checkpoints('c4' if c4 else 'fpn'),
        tmp_path / 'exported',
        detector=path if c4 else narrow(path, tmp_path),
    )
    filled = {
        name: len(part.filled) for name, part in report.parts.items() if part.filled
    }
    if c4:
        assert filled == {'backbone': RESNET - RES5, 'shared head': RES5}
    elif dense:  # P3 to P5, of one lateral and one output convolution each
        assert filled == {'backbone': RESNET, 'neck': 3 * 2 * CONV}
    else:
        assert filled == {
            'backbone': RESNET,
            'neck': 4 * 2 * CONV,
            'box head': 4 * CONV + FC,
        }
    assert report.max_difference < 1e-4
    # The norm after res5 is of the detector alone: new, not lost.
    if c4:
        assert {name for name, _ in report.parts['shared head'].new} == {
            f'roi_head.shared_head.norm.{name}' for name in NORM
        }
    # P2 and the box head.
    assert len(report.unused) == (2 * CONV + 4 * CONV + FC if dense else 0)
    assert not any(part.shape_differs for part in report.parts.values())
    cfg = Config.fromfile(report.config)
    detector = build_detector(report.config)
    load_checkpoint(detector, cfg.load_from)
    pretrained = torch.load(tmp_path / 'exported' / WEIGHTS, weights_only=True)[
        'state_dict'
    ]
    state = detector.state_dict()
    assert sum(filled.values()) == len(pretrained)
    for name, value in pretrained.items():
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize('path', DISTINCT, ids=name_of)
def test_batch_norm_is_synchronised_and_trained_everywhere(path):
    cfg = Config.fromfile(path)
    sync = dict(type='SyncBN', requires_grad=True)
    parts = [cfg.model.backbone]
    if cfg.model.get('neck'):
        parts.append(cfg.model.neck)
    heads = cfg.model.get('roi_head', {})
    if heads.get('shared_head'):
        parts.append(heads.shared_head)
    elif heads:
        parts += [heads.bbox_head, heads.mask_head]
    assert all(part.norm_cfg == sync for part in parts)
    assert not any(part.get('norm_eval') for part in parts)
    assert cfg.model.backbone.frozen_stages == -1
    assert cfg.model.data_preprocessor.bgr_to_rgb
    assert cfg.model.data_preprocessor.mean == [123.675, 116.28, 103.53]


@pytest.mark.parametrize('path', SOCO, ids=name_of)
def test_the_schedule_is_the_papers(path):
    cfg = Config.fromfile(path)
    warm_up, steps = cfg.param_scheduler
    length = cfg.train_cfg.get('max_epochs', cfg.train_cfg.get('max_iters'))
    optimizer = cfg.optim_wrapper.optimizer
    assert SCHEDULES[name_of(path)] == (
        optimizer.lr,
        optimizer.weight_decay,
        warm_up.end,
        length,
        steps.milestones,
    )
    assert steps.end == length and steps.gamma == 0.1
    assert steps.by_epoch == ('max_epochs' in cfg.train_cfg)
    # Of 8 GPUs.
    assert cfg.train_dataloader.batch_size * 8 == 16
    assert cfg.auto_scale_lr.base_batch_size == 16


@pytest.mark.parametrize('path', SOCO, ids=name_of)
def test_the_three_starts_differ_in_the_weights_alone(path):
    soco, scratch, supervised = (
        Config.fromfile(path.with_name(f'{path.stem}{end}.py'))
        for end in ('', '_scratch', '_supervised')
    )
    assert soco.model.backbone.init_cfg is None
    assert soco.load_from is scratch.load_from is None
    assert scratch.to_dict() == soco.to_dict()
    start = dict(type='Pretrained', checkpoint='torchvision://resnet50')
    changed = soco.to_dict()
    changed['model']['backbone']['init_cfg'] = start
    if '_c4_' in path.stem:
        changed['model']['roi_head']['shared_head']['init_cfg'] = start
    assert supervised.to_dict() == changed


@pytest.mark.parametrize('path', SOCO, ids=name_of)
def test_everything_else_is_inherited_from_mmdetection(path):
    text = path.read_text()
    base = Config.fromfile(path)
    while "'mmdet::" not in text:
        name = text.split("_base_ = '")[1].split("'")[0]
        path = path.parent / name
        text = path.read_text()
    assert base.default_scope == 'mmdet'
    assert 'LoadImage' not in text and len(text.splitlines()) < 65


def strings(value):
    """All strings in a config, each with where it is."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from ((f'{key}.{at}', text) for at, text in strings(each))
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from ((f'{index}.{at}', text) for at, text in strings(each))
    elif isinstance(value, str):
        yield '', value


@pytest.mark.parametrize(
    'path', [p for p in FILES if not p.stem.endswith('_supervised')], ids=name_of
)
def test_no_start_but_the_supervised_one_has_pretrained_weights(path):
    """Nor would it be downloaded where there is no internet."""
    cfg = Config.fromfile(path)
    found = [
        at
        for at, text in strings(cfg.to_dict())
        if text == 'Pretrained' or '://' in text
    ]
    assert found == [] and cfg.load_from is None


@pytest.mark.parametrize('path', [p for p in SOCO if '_c4_' in p.stem], ids=name_of)
def test_c4_has_the_authors_norm_after_res5(path):
    """Detectron2's Res5ROIHeadsExtraNorm: the head is norm(res5(x))."""
    head = build_detector(path).roi_head.shared_head
    head.eval()
    torch.manual_seed(0)
    head.norm.running_mean.normal_()
    head.norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 1024, 14, 14)
    with torch.no_grad():
        y = head.layer4(x)
        mean, var = head.norm.running_mean, head.norm.running_var
        expected = (y - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        torch.testing.assert_close(head(x), expected)


@pytest.mark.parametrize(
    'path',
    [
        p
        for p in SOCO
        if p.parent.name in ('coco', 'mini_coco', 'lvis') and 'mask-rcnn' in p.stem
    ],
    ids=name_of,
)
def test_shorter_sides_are_those_of_the_authors_files(path):
    dataset = Config.fromfile(path).train_dataloader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.dataset
    (resize,) = (each for each in dataset.pipeline if 'Resize' in each.type)
    assert resize.type == 'RandomChoiceResize' and resize.keep_ratio
    assert sorted(map(tuple, resize.scales)) == [
        (1333, side) for side in (640, 672, 704, 736, 768, 800)
    ]


@pytest.mark.parametrize('path', SOCO, ids=name_of)
def test_statistics_are_made_precise_where_the_authors_files_say_so(path):
    cfg = Config.fromfile(path)
    hooks = cfg.get('custom_hooks') or []
    dense = path.stem.startswith(('retinanet', 'fcos'))
    assert [hook.type for hook in hooks] == ([] if dense else ['soco_mm.PreciseBNHook'])
    if not dense:  # for the model that is validated and the one that is saved
        assert cfg.train_cfg.val_interval == (cfg.default_hooks.checkpoint.interval)


@pytest.mark.parametrize(
    'path', [p for p in SOCO if 'mask-rcnn' in p.stem], ids=name_of
)
def test_steps_are_exactly_at_two_thirds_and_eight_ninths(path):
    cfg = Config.fromfile(path)
    length, steps = cfg.train_cfg.max_iters, cfg.param_scheduler[1].milestones
    assert [3 * steps[0], 9 * steps[1]] == [2 * length, 8 * length]


def test_mini_coco_reads_the_subsets_that_the_tool_writes():
    for share in (5, 10, 50):
        cfg = Config.fromfile(
            ROOT / 'mini_coco' / f'mask-rcnn_r50_fpn_90k_coco-{share}pct.py'
        )
        assert cfg.train_dataloader.dataset.ann_file == (
            f'annotations/instances_train2017_{share}pct.json'
        )
        assert cfg.train_dataloader.sampler.type == 'InfiniteSampler'
        assert 'val2017' in cfg.val_dataloader.dataset.ann_file


def test_voc_is_evaluated_at_ten_overlaps():
    cfg = Config.fromfile(ROOT / 'voc/faster-rcnn_r50_c4_24k_voc0712.py')
    from mmdet.registry import METRICS

    metric = METRICS.build(cfg.val_evaluator)
    assert type(metric).__name__ == 'VOCMetric'
    assert metric.iou_thrs == pytest.approx([0.5 + 0.05 * step for step in range(10)])
    assert metric.eval_mode == '11points'
