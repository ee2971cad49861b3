"""Detectors trained on COCO-format data from an export."""

import json
import os
import shutil
import signal
import sys

import cv2
import numpy as np
import pytest
import small
import torch
from label_layouts import write_yolo
from mmengine.config import Config

from soco_mm.apis.export import export_detector
from soco_mm.apis.finetune import finetune
from soco_mm.cli import main
from soco_mm.coco import read_annotations
from soco_mm.detectors.finetune_config import (
    choose_epochs,
    finetune_config,
    set_classes,
)
from soco_mm.detectors.pipelines import find_pipeline
from soco_mm.detectors.summary import describe_finetuning, shared
from soco_mm.detectors.training import best_metrics
from soco_mm.engine.config import load_config
from soco_mm.engine.runtime import unwrap_model
from soco_mm.engine.vis_backend import JSONVisBackend, read_lines
from soco_mm.errors import Stopped
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError, exclusive
from soco_mm.visualization.detections import draw_detections

CLASSES = ('person', 'cat', 'cup', 'spoon', 'saucer', 'rocket', 'helmet', 'coin')


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A small Mask R-CNN that starts from a small SoCo."""
    folder = tmp_path_factory.mktemp('pretrained')
    cfg = load_config(small.SOCO)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    torch.save(
        dict(meta=dict(cfg=cfg.pretty_text), state_dict=model.state_dict()),
        folder / 'epoch_1.pth',
    )
    export_detector(
        folder / 'epoch_1.pth',
        folder / 'exported',
        detector=small.MASK_RCNN,
    )
    return folder / 'exported'


@pytest.fixture
def annotations(demo_images):
    return demo_images.parent / 'instances.json'


@pytest.fixture
def boxes_alone(annotations, tmp_path):
    """The same annotations without masks."""
    content = json.loads(annotations.read_text())
    for each in content['annotations']:
        del each['segmentation']
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def mixed(tmp_path):
    """Two wide and two high images, and an object that fills most of each."""
    random = np.random.default_rng(0)
    content = dict(images=[], annotations=[], categories=[dict(id=1, name='thing')])
    for number, (height, width) in enumerate([(90, 120), (120, 90)] * 2, 1):
        image = random.integers(0, 255, (height, width, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f'{number}.png'), image)
        content['images'].append(dict(id=number, file_name=f'{number}.png'))
        content['annotations'].append(
            dict(image_id=number, category_id=1, bbox=[5, 5, width - 10, height - 10])
        )
    path = tmp_path / 'mixed.json'
    path.write_text(json.dumps(content))
    return dict(
        train=path, images=tmp_path, val=path, epochs=2, scale=(64, 64), workers=0
    )


@pytest.fixture
def stop_with(monkeypatch):
    """Train a detector, in which a hook raises an error."""
    from mmengine.runner import Runner

    def train(hook, error=KeyboardInterrupt, **job):
        with monkeypatch.context() as patch:
            build = Runner.build_train_loop

            def with_hook(self, loop):
                self.register_hook(hook)
                return build(self, loop)

            patch.setattr(Runner, 'build_train_loop', with_hook)
            with pytest.raises(error) as stopped:
                finetune(**job)
        return stopped.value

    return train


def scalars(made):
    lines = made.scalars.read_text().splitlines()
    return list(map(json.loads, lines))


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def test_small_data_sets_are_seen_more_often():
    assert choose_epochs(118_287) == 12
    # 5 % of COCO: 12 * sqrt(20) epochs.
    assert choose_epochs(5_914) == 54
    assert choose_epochs(205) == choose_epochs(1) == 100
    assert choose_epochs(10_000_000) == 12


def test_a_detector_is_trained_and_drawn_and_can_be_used(
    exported, annotations, demo_images, tmp_path, monkeypatch
):
    drawn = []

    def draw(samples, classes, stretch):
        assert stretch is None
        drawn.extend(samples)
        return draw_detections(samples, classes)

    monkeypatch.setattr('soco_mm.detectors.pictures.draw_detections', draw)
    job = dict(
        exported=exported,
        train=annotations,
        images=demo_images,
        val=annotations,
        out=tmp_path / 'a run',
        epochs=2,
        scale=(128, 128),
        workers=0,
    )
    made = finetune(**job)
    metrics = json.loads(made.metrics.read_text())
    assert metrics['epoch'] in (1, 2)
    assert {'coco/bbox_mAP', 'coco/segm_mAP_50'} <= set(metrics)
    logged = scalars(made)
    assert any('loss_mask' in each for each in logged)
    assert (
        max(each.get('coco/bbox_mAP', 0) for each in logged) == metrics['coco/bbox_mAP']
    )
    # A row of annotated and predicted objects for each of five images.
    picture = cv2.imread(str(made.picture))
    assert 960 < picture.shape[1] < 1000 and picture.shape[0] > 5 * 200
    for each in drawn:
        size = cv2.imread(str(each['path'])).shape[:2]
        assert each['found_masks'].shape == (len(each['scores']), *size)
        for mask, box in zip(each['masks'], each['boxes'], strict=True):
            x, y, w, h, _ = map(round, box)
            assert mask.shape == size
            assert mask.sum() == mask[y : y + h, x : x + w].sum() > w * h / 4

    from mmdet.apis import inference_detector, init_detector

    detector = init_detector(str(made.config), str(made.checkpoint), device='cpu')
    assert detector.dataset_meta['classes'] == CLASSES
    found = inference_detector(detector, str(demo_images / 'coffee.jpg'))
    assert found.pred_instances.masks.shape[1:] == found.ori_shape

    with pytest.raises(UsageError, match='--resume'):
        finetune(**job)
    with pytest.raises(UsageError, match=r'epochs=2, now 3\).*--resume'):
        finetune(**dict(job, epochs=3))
    before = made.checkpoint.read_bytes()
    assert finetune(**job, resume=True).checkpoint.read_bytes() == before


def test_a_yolo_data_set_is_trained_and_evaluated(exported, mixed, tmp_path, capsys):
    """Of its data.yaml alone, by the command."""
    content = json.loads(mixed['train'].read_text())
    for each, size in zip(content['images'], [(120, 90), (90, 120)] * 2):
        each['width'], each['height'] = size
    for split, part in (('train', slice(3)), ('val', slice(3, None))):
        write_yolo(
            tmp_path / 'yolo',
            dict(content, images=content['images'][part]),
            tmp_path,
            split,
        )
    path = tmp_path / 'yolo/data.yaml'
    path.write_text('train: images/train\nval: images/val\nnames: [thing]\n')
    (tmp_path / 'yolo/labels/val/9.txt').write_text('')
    job = ['finetune', exported, '--data', path, '--out', tmp_path / 'run']
    job += ['--epochs', 1, '--scale', 64, 64, '--workers', 0]
    job = list(map(str, job))
    main(job)
    printed = capsys.readouterr().out
    assert 'on 3 images with 3 objects' in printed
    assert (
        f'val, {path}:\n  1 txt file without an image: left out (labels/val/9.txt)'
    ) in printed
    copy = json.loads((tmp_path / 'run/annotations/val.json').read_text())
    (image,) = copy['images']
    assert image['file_name'] == 'images/val/4.png'
    assert copy['annotations'][0]['bbox'] == pytest.approx([5, 5, 80, 110])
    assert (tmp_path / 'run/best.pth').is_file()
    # Other labels are another job.
    (tmp_path / 'yolo/labels/train/1.txt').write_text('0 .5 .5 .5 .5\n')
    with pytest.raises(SystemExit):
        main([*job, '--resume'])
    assert 'contents_of_train' in capsys.readouterr().err


def test_classes_are_matched_by_name_and_the_copies_are_evaluated(
    exported, mixed, tmp_path, capsys
):
    """Odd files on both sides, and the evaluator of the run itself."""
    from mmdet.evaluation import CocoMetric

    content = json.loads(mixed['train'].read_text())
    content['categories'] = [
        dict(id=0, name='all', supercategory='none'),
        dict(id=3, name='other', supercategory='all'),
        dict(id=1, name='thing', supercategory='all'),
    ]
    first, second, third, fourth = content['annotations']
    first['bbox'] = [-20, 5, 60, 40]
    second['iscrowd'] = '0'
    third['category_id'] = 3
    fourth.update(ignore='1')
    mixed['train'].write_text(json.dumps(content))
    content['categories'] = content['categories'][2:]
    content['annotations'] = [first, second, fourth]
    val = tmp_path / 'val.json'
    val.write_text(json.dumps(content))
    job = dict(mixed, exported=exported, val=val, epochs=1)
    made = finetune(**job, out=tmp_path / 'run')
    printed = capsys.readouterr().out
    assert '2 classes (other, thing)' in printed
    assert '1 category without objects that only groups others' in printed
    assert 'classes without a category: other' in printed
    cfg = Config.fromfile(made.config)
    copy = json.loads((tmp_path / 'run/annotations/val.json').read_text())
    assert [each['name'] for each in copy['categories']] == ['other', 'thing']
    assert (tmp_path / 'run/annotations/annotated.png').is_file()
    settings = dict(cfg.val_evaluator)
    assert settings.pop('type') == 'CocoMetric'
    metric = CocoMetric(**settings)
    metric.dataset_meta = cfg.val_dataloader.dataset.metainfo
    sizes = {each['id']: each for each in copy['images']}
    for number, box in ((1, [0, 5, 40, 45]), (2, [5, 5, 85, 115]), (3, None)):
        boxes = np.reshape(box or [], (-1, 4))
        metric.results.append(
            (
                dict(
                    img_id=number,
                    width=sizes[number]['width'],
                    height=sizes[number]['height'],
                ),
                dict(
                    img_id=number,
                    bboxes=boxes,
                    scores=np.ones(len(boxes)),
                    labels=np.full(len(boxes), 1),
                ),
            )
        )
    assert metric.compute_metrics(metric.results)['bbox_mAP'] == 1

    made = finetune(**job, classes=['thing'], out=tmp_path / 'subset')
    assert '1 object of another class: left out (other' in (capsys.readouterr().out)
    cfg = Config.fromfile(made.config)
    assert cfg.model.roi_head.bbox_head.num_classes == 1
    assert cfg.train_dataloader.dataset.metainfo.classes == ('thing',)


@pytest.mark.parametrize('stopped', [False, True])
def test_the_picture_is_of_the_weights_that_are_kept(
    exported, mixed, tmp_path, stop_with, monkeypatch, stopped
):
    """With an EMAHook too, which exchanges weights when a run is resumed."""
    from mmengine.hooks import Hook

    class Stop(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 1:
                raise KeyboardInterrupt

    exported = shutil.copytree(exported, tmp_path / 'exported')
    with (exported / small.MASK_RCNN.name).open('a') as stream:
        stream.write("\ncustom_hooks = [dict(type='EMAHook', momentum=0.5)]\n")
    drawn = {}

    def draw(runner, val, path):
        drawn.update(unwrap_model(runner.model).state_dict())

    module = sys.modules[finetune.__module__]
    monkeypatch.setattr(module, 'draw_predictions', draw)
    job = dict(exported=exported, out=tmp_path / 'run', **mixed)
    if stopped:
        stop_with(Stop(), **job)
    made = finetune(resume=stopped, **job)
    best = torch.load(made.checkpoint)
    for name, value in best['state_dict'].items():
        assert torch.equal(drawn[name], value), name
    raw = best['ema_state_dict']['module.rpn_head.rpn_conv.weight']
    assert not torch.equal(raw, drawn['rpn_head.rpn_conv.weight'])


def test_a_stopped_training_goes_on(
    exported, boxes_alone, demo_images, tmp_path, stop_with
):
    from mmengine.hooks import Hook

    class Stop(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 1:
                raise KeyboardInterrupt

    job = dict(
        exported=exported,
        train=boxes_alone,
        images=demo_images,
        val=boxes_alone,
        epochs=2,
        scale=(96, 96),
        workers=0,
    )
    stop_with(Stop(), out=tmp_path / 'stopped', **job)
    assert not (tmp_path / 'stopped/best.pth').exists()
    made = finetune(out=tmp_path / 'stopped', resume=True, **job)
    # Two iterations each.
    assert [each['epoch'] for each in scalars(made) if 'epoch' in each] == [1, 1, 2, 2]
    assert not any('mask_head' in name for name in weights(made.checkpoint))


@pytest.mark.parametrize('epoch', [1, 2])
def test_an_evaluation_in_which_a_run_was_stopped_is_repeated(
    epoch, exported, mixed, tmp_path, stop_with
):
    from mmengine.hooks import Hook

    class Stop(Hook):
        def before_val_epoch(self, runner):
            if runner.epoch == epoch:
                raise KeyboardInterrupt

    job = dict(exported=exported, out=tmp_path / 'stopped', **mixed)
    stop_with(Stop(), **job)
    made = finetune(resume=True, **job)
    evaluated = {
        each['step']: each['coco/bbox_mAP']
        for each in scalars(made)
        if 'coco/bbox_mAP' in each
    }
    metrics = json.loads(made.metrics.read_text())
    assert set(evaluated) == {1, 2}
    assert max(evaluated.values()) > 0
    assert metrics['coco/bbox_mAP'] == max(evaluated.values())
    checkpoint = tmp_path / f'stopped/checkpoints/epoch_{metrics["epoch"]}.pth'
    best, expected = weights(made.checkpoint), weights(checkpoint)
    assert all(best[name].equal(expected[name]) for name in expected)
    if epoch == 2:  # the training itself was not stopped
        whole = finetune(**dict(job, out=tmp_path / 'whole'))
        assert json.loads(whole.metrics.read_text()) == metrics


def test_a_finished_run_is_left_as_it_is(exported, mixed, tmp_path, capsys):
    job = dict(exported=exported, out=tmp_path / 'run', **mixed)
    made = finetune(**job)
    times = {path: path.stat().st_mtime_ns for path in vars(made).values()}
    capsys.readouterr()
    assert finetune(resume=True, **job) == made
    assert capsys.readouterr().out == (f'The run in {tmp_path / "run"} is finished\n')
    assert times == {path: path.stat().st_mtime_ns for path in vars(made).values()}
    # Not while another process trains in it, nor is it deleted then.
    for how in (dict(resume=True), dict(overwrite=True)):
        with exclusive(tmp_path / 'run', 'a run'):
            with pytest.raises(UsageError, match='Another process is making a run'):
                finetune(**how, **job)
    assert times == {path: path.stat().st_mtime_ns for path in vars(made).values()}
    # All but the metrics, which are written last; and in another folder.
    metrics = made.metrics.read_text()
    made.metrics.unlink()
    job['out'] = (tmp_path / 'run').rename(tmp_path / 'moved')
    assert finetune(resume=True, **job).metrics.read_text() == metrics


def test_a_batch_of_wide_and_high_images_is_trained_with(exported, mixed, tmp_path):
    made = finetune(exported, out=tmp_path / 'run', **mixed)
    logged = [each for each in scalars(made) if 'loss' in each]
    # As the schedule assumes: one iteration in each of the two epochs.
    assert [each['iter'] for each in logged] == [1, 2]
    before, after = map(weights, (exported / 'soco_weights.pth', made.checkpoint))
    name = 'backbone.layer4.1.conv2.weight'
    assert not before[name].equal(after[name])


def test_images_of_less_than_two_pixels_for_a_norm_are_explained(
    exported, mixed, tmp_path
):
    with pytest.raises(SoCoError, match='too small .* a larger --scale'):
        finetune(
            exported, out=tmp_path / 'run', **dict(mixed, batch_size=1, scale=(32, 32))
        )


def config(detector, annotations, demo_images, **kwargs):
    data = read_annotations(annotations, demo_images)
    return finetune_config(
        detector, data, data, **dict(dict(epochs=30, batch_size=2), **kwargs)
    )


def detector_of(tmp_path, base):
    path = tmp_path / 'detector.py'
    path.write_text(f"_base_ = 'mmdet::{base}'\n")
    return path


def test_schedule_and_learning_rate_follow_the_data(annotations, demo_images, tmp_path):
    detector = detector_of(tmp_path, 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py')
    cfg = config(detector, annotations, demo_images)
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(0.02 * 2 / 16)
    warm_up, steps = cfg.param_scheduler
    # 5 images in batches of 2 are 3 iterations an epoch.
    assert warm_up.end == 9 and steps.milestones == [60, 80]
    assert cfg.train_cfg.max_epochs == 30 and cfg.train_cfg.val_interval == 3
    assert cfg.val_evaluator.metric == ['bbox', 'segm']
    heads = cfg.model.roi_head
    assert heads.bbox_head.num_classes == heads.mask_head.num_classes == 8
    assert 'num_classes' not in cfg.model.rpn_head
    assert cfg.train_dataloader.dataset.metainfo.classes == CLASSES
    sizes = [
        each.scale
        for loader in (cfg.train_dataloader, cfg.val_dataloader)
        for each in loader.dataset.pipeline
        if each.type == 'Resize'
    ]
    assert sizes == [(1333, 800)] * 2


@pytest.mark.parametrize(
    'base, heads',
    [
        ('cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py', 3),
        ('retinanet/retinanet_r50_fpn_1x_coco.py', 1),
        ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', 1),
        ('atss/atss_r50_fpn_1x_coco.py', 1),
        ('lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py', 1),
    ],
)
def test_every_kind_of_detector_gets_the_classes(
    base, heads, boxes_alone, demo_images, tmp_path
):
    cfg = config(detector_of(tmp_path, base), boxes_alone, demo_images, scale=(64, 48))
    text = str(cfg.model.get('roi_head', cfg.model.get('bbox_head')))
    assert text.count("'num_classes': 8") == heads
    assert 'num_classes' not in str(cfg.model.get('rpn_head'))
    assert cfg.val_evaluator.type == 'CocoMetric'
    assert cfg.val_evaluator.metric == 'bbox'
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        dataset = loader.dataset
        assert dataset.type == 'CocoDataset'
        assert [each.scale for each in dataset.pipeline if 'Resize' in each.type] == [
            (64, 48)
        ]
        assert not any(each.get('with_mask') for each in dataset.pipeline)


def test_without_masks_mask_rcnn_has_no_mask_head(boxes_alone, demo_images, tmp_path):
    from soco_mm.detectors.build import build_detector

    cfg = config(
        detector_of(tmp_path, 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'),
        boxes_alone,
        demo_images,
    )
    cfg.model.backbone.init_cfg = None
    cfg.dump(tmp_path / 'boxes.py')
    detector = build_detector(tmp_path / 'boxes.py')
    assert not detector.roi_head.with_mask and detector.roi_head.with_bbox


def test_hooks_of_the_detector_are_kept(annotations, demo_images, tmp_path):
    detector = detector_of(tmp_path, 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py')
    with detector.open('a') as stream:
        stream.write("custom_hooks = [dict(type='EMAHook')]\n")
    cfg = config(detector, annotations, demo_images)
    assert [each.type for each in cfg.custom_hooks] == [
        'EMAHook',
        'soco_mm.ResumedEvaluationHook',
    ]


def test_hooks_do_the_same_at_the_same_share_of_another_length(
    boxes_alone, demo_images, tmp_path
):
    detector = detector_of(tmp_path, 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    given = Config.fromfile(detector)
    second = given.train_dataloader.dataset.pipeline
    given.custom_hooks = [
        dict(type='EMAHook', begin_epoch=3),
        dict(type='mmdet.PipelineSwitchHook', switch_epoch=10, switch_pipeline=second),
    ]
    given.dump(detector)
    ema, switch, _ = config(
        detector, boxes_alone, demo_images, scale=(64, 48), epochs=36
    ).custom_hooks
    assert (ema.begin_epoch, switch.switch_epoch) == (9, 30)  # of 12 epochs
    assert [e.scale for e in switch.switch_pipeline if 'Resize' in e.type] == [(64, 48)]
    ema, switch, _ = config(detector, boxes_alone, demo_images, epochs=1).custom_hooks
    assert ema.begin_epoch == switch.switch_epoch == 1


def test_all_that_makes_images_large_follows_the_scale(
    boxes_alone, demo_images, tmp_path
):
    detector = detector_of(
        tmp_path, 'faster_rcnn/faster-rcnn_r50_fpn_8xb8-amp-lsj-200e_coco.py'
    )
    given = Config.fromfile(detector)
    pipeline = find_pipeline(given.train_dataloader.dataset)
    resize = dict(type='Resize', scale=(1333, 800), keep_ratio=True)
    pipeline.append(dict(type='AutoAugment', policies=[[resize]]))
    pipeline.append(dict(type='Pad', size=(640, 640)))
    find_pipeline(given.val_dataloader.dataset).append(
        dict(type='FixScaleResize', scale=(800, 1333))
    )
    given.dump(detector)
    cfg = config(detector, boxes_alone, demo_images, scale=(330, 200))
    (batch,) = cfg.model.data_preprocessor.batch_augments
    assert batch.size == (352, 352)  # a multiple of 32
    text = str(cfg.train_dataloader.dataset.pipeline)
    assert "'crop_size': (330, 330)" in text and "'size': (352, 352)" in text
    text += str(cfg.val_dataloader.dataset.pipeline)
    for size in ('1024', '1333', '800', '640'):
        assert size not in text


def test_a_detector_without_default_hooks_that_resumes_is_trained_from_its_weights(
    boxes_alone, demo_images, tmp_path
):
    detector = detector_of(tmp_path, 'faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py')
    given = Config.fromfile(detector)
    given.pop('default_hooks')
    given.resume = True
    given.dump(detector)
    cfg = config(detector, boxes_alone, demo_images)
    assert not cfg.resume
    assert cfg.default_hooks.checkpoint.type == 'soco_mm.AtomicCheckpointHook'


def test_every_head_gets_the_classes_whatever_it_is_called():
    """As those of Co-DETR."""
    model = dict(
        backbone=dict(num_classes=1000),
        query_head=dict(num_classes=80, loss=dict(num_classes=80)),
        roi_head=[dict(bbox_head=dict(num_classes=80))],
        rpn_head=dict(num_classes=1),
    )
    assert set_classes(model, 3) == 3
    assert model == dict(
        backbone=dict(num_classes=1000),
        query_head=dict(num_classes=3, loss=dict(num_classes=3)),
        roi_head=[dict(bbox_head=dict(num_classes=3))],
        rpn_head=dict(num_classes=1),
    )


def test_images_inside_of_choices_are_scaled_too(boxes_alone, demo_images, tmp_path):
    cfg = config(
        detector_of(tmp_path, 'detr/detr_r50_8xb2-150e_coco.py'),
        boxes_alone,
        demo_images,
        scale=(64, 48),
    )
    text = str(cfg.train_dataloader.dataset.pipeline)
    assert "'scale': (64, 48)" in text and 'Choice' in text
    assert 'RandomChoiceResize' not in text and '1333' not in text


@pytest.mark.parametrize(
    'base, message',
    [
        ('htc/htc_r50_fpn_1x_coco.py', 'semantic maps'),
        ('yolox/yolox_s_8xb8-300e_coco.py', r'mixed images \(Mosaic\)'),
        ('rtmdet/rtmdet_s_8xb32-300e_coco.py', r'mixed images \(CachedMosaic\)'),
        ('fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py', r'\(LoadProposals\)'),
        (
            'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py',
            'begins with LoadPanopticAnnotations|semantic maps',
        ),
    ],
)
def test_a_pipeline_that_needs_more_than_coco_annotations_is_refused(
    base, message, annotations, demo_images, tmp_path
):
    with pytest.raises(SoCoError, match=message):
        config(detector_of(tmp_path, base), annotations, demo_images)


@pytest.mark.parametrize(
    'base',
    [
        'solo/solo_r50_fpn_1x_coco.py',
        'ms_rcnn/ms-rcnn_r50-caffe_fpn_1x_coco.py',
        'point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py',
    ],
)
def test_a_detector_that_needs_masks_is_refused_without(
    base, boxes_alone, demo_images, tmp_path
):
    with pytest.raises(SoCoError, match='trained with masks'):
        config(detector_of(tmp_path, base), boxes_alone, demo_images)


def test_large_scale_jitter_is_kept_around_the_scale(
    annotations, demo_images, tmp_path
):
    cfg = config(
        detector_of(
            tmp_path,
            'strong_baselines/mask-rcnn_r50_fpn_rpn-2conv_4conv1fc_syncbn-all_'
            'lsj-100e_coco.py',
        ),
        annotations,
        demo_images,
        scale=(320, 240),
    )
    (resize,) = (
        each for each in cfg.train_dataloader.dataset.pipeline if 'Resize' in each.type
    )
    assert resize == dict(
        type='RandomResize', scale=(320, 240), ratio_range=(0.1, 2.0), keep_ratio=True
    )


def test_weights_of_another_detector_are_refused(
    exported, boxes_alone, demo_images, tmp_path
):
    """The detector's config was changed by hand after the export."""
    import shutil

    shutil.copytree(exported, tmp_path / 'edited')
    with (tmp_path / 'edited/mask-rcnn_small.py').open('a') as stream:
        stream.write('\nmodel["neck"] = dict(norm_cfg=None)\n')
    with pytest.raises(SoCoError, match='tensors of .* do not fit'):
        finetune(
            tmp_path / 'edited',
            tmp_path / 'run',
            train=boxes_alone,
            images=demo_images,
            val=boxes_alone,
            epochs=1,
            workers=0,
        )
    assert not (tmp_path / 'run').exists()


def test_what_is_no_export_is_refused(exported, boxes_alone, demo_images, tmp_path):
    for wrong in (tmp_path, exported / 'mask-rcnn_small.py'):
        with pytest.raises(UsageError, match='not a folder that soco-mm exp'):
            finetune(
                wrong,
                tmp_path / 'run',
                train=boxes_alone,
                images=demo_images,
                val=boxes_alone,
            )
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('model.roi_head.bbox_head.xyz', 1, "keyword argument 'xyz'"),
        ('model.backbone.num_stages', 5, 'assert num_stages >= 1'),
    ],
)
def test_a_model_that_cannot_be_built_leaves_no_run(
    key, value, message, exported, mixed, tmp_path
):
    with pytest.raises(SoCoError, match=f'cannot be built into a training.*{message}'):
        finetune(exported, out=tmp_path / 'run', options={key: value}, **mixed)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'part',
    [
        'train_dataloader.dataset',
        'val_dataloader.dataset',
        'val_evaluator',
        'optim_wrapper.optimizer',
    ],
)
def test_what_a_training_builds_late_leaves_no_run_either(
    part, exported, mixed, tmp_path
):
    with pytest.raises(SoCoError, match='cannot be built .*xyz'):
        finetune(exported, out=tmp_path / 'run', options={f'{part}.xyz': 1}, **mixed)
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'wrong, message',
    [
        (dict(options={'train_dataloader.batch_size': 2}), 'with --batch-size'),
        (dict(options={'train_cfg.max_epochs': 2}), 'with --epochs'),
        (dict(options={'randomness.seed': 2}), 'with --seed'),
        (
            dict(options={'train_dataloader.dataset.metainfo.classes': ['thing']}),
            'Choose them with --classes',
        ),
        (dict(classes=['thing', 'cog']), 'has no category cog'),
        (dict(seed=2**32), '--seed is 4294967296. Choose one below 4294967296'),
        (dict(seed=2**32 - 1, workers=2), 'Choose one below 4294967294'),
    ],
)
def test_arguments_that_would_fail_later_are_refused(
    wrong, message, exported, mixed, tmp_path
):
    with pytest.raises(UsageError, match=message):
        finetune(exported, out=tmp_path / 'run', **dict(mixed, **wrong))
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
    'command',
    [
        ['finetune', 'exported', *['--data', 'a', '--images', 'b', '--val', 'c']],
        ['pretrain', 'images'],
    ],
)
def test_a_run_is_not_resumed_and_overwritten_at_once(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*command, '--out', 'run', '--resume', '--overwrite'])
    assert stopped.value.code == 2
    assert 'not allowed with argument --resume' in capsys.readouterr().err


def test_a_run_is_not_resumed_with_other_contents(exported, mixed, tmp_path, stop_with):
    from mmengine.hooks import Hook

    class Stop(Hook):
        def before_train_epoch(self, runner):
            raise KeyboardInterrupt

    exported = shutil.copytree(exported, tmp_path / 'exported')
    job = dict(exported=exported, out=tmp_path / 'run', **mixed)
    stop_with(Stop(), **job)
    path = exported / 'soco_weights.pth'
    before = path.read_bytes()
    torch.save(torch.load(path), path)
    with pytest.raises(
        UsageError, match=r'was started with contents_of_weights=\w+, now'
    ):
        finetune(resume=True, **job)
    path.write_bytes(before)
    path = mixed['train']
    path.write_text(path.read_text().replace('thing', 'object'))
    with pytest.raises(
        UsageError,
        match=r'was started with contents_of_train=\w+, now \w+; contents_'
        'of_val',
    ):
        finetune(resume=True, **job)


def test_images_that_are_trained_with_and_evaluated_on_are_counted(
    annotations, demo_images, mixed
):
    same = read_annotations(annotations, demo_images)
    # By another way.
    other = read_annotations(annotations, demo_images / '..' / 'images')
    assert shared(same, other).startswith('. 5 of them are also trained with')
    assert not shared(same, read_annotations(mixed['val'], mixed['images']))


def test_images_without_objects_are_counted_where_they_are_evaluated_on(
    annotations, demo_images, tmp_path
):
    content = json.loads(annotations.read_text())
    read = read_annotations(annotations, demo_images)
    cfg = Config(
        dict(
            model=dict(type='FasterRCNN'),
            load_from=None,
            train_cfg=dict(max_epochs=1),
            train_dataloader=dict(batch_size=1),
            val_evaluator=dict(metric=['bbox']),
        )
    )
    assert describe_finetuning(cfg, read, read).partition(';')[2].count('object') == 0
    first = content['images'][0]['id']
    for each in content['annotations']:
        each['image_id'] = first
    (tmp_path / 'few.json').write_text(json.dumps(content))
    few = read_annotations(tmp_path / 'few.json', demo_images)
    assert (
        'evaluated on 5 images (4 have no object: what is found there is wrong). '
    ) in describe_finetuning(cfg, read, few)


@pytest.mark.parametrize('norm', ['SyncBN', 'MMSyncBN'])
def test_from_scratch_no_weights_are_loaded(
    exported, boxes_alone, demo_images, tmp_path, norm
):
    """Also with MMCV's synchronised batch norm, which asks for processes."""
    shutil.copytree(exported, tmp_path / 'edited')
    with (tmp_path / 'edited/mask-rcnn_small.py').open('a') as stream:
        stream.write(f'\nmodel["neck"] = dict(norm_cfg=dict(type="{norm}"))\n')
    finetune(
        tmp_path / 'edited',
        tmp_path / 'run',
        train=boxes_alone,
        images=demo_images,
        val=boxes_alone,
        epochs=1,
        scale=(64, 64),
        workers=0,
        scratch=True,
    )
    cfg = Config.fromfile(tmp_path / 'run/mask-rcnn_small.py')
    assert cfg.load_from is None


def test_a_backbone_that_is_not_handed_over_starts_as_the_config_says(
    exported, boxes_alone, demo_images, tmp_path
):
    shutil.copytree(exported, tmp_path / 'edited')
    start = "dict(_delete_=True, type='Pretrained', checkpoint='no.pth')"
    with (tmp_path / 'edited/mask-rcnn_small.py').open('a') as stream:
        stream.write(f"\nmodel['backbone'] = dict(init_cfg={start})\n")
    job = dict(train=boxes_alone, images=demo_images, val=boxes_alone, workers=0)
    job |= dict(epochs=1, scale=(64, 64))
    with pytest.raises(SoCoError, match=r'model\.backbone\.init_cfg: .*no\.pth'):
        finetune(tmp_path / 'edited', tmp_path / 'run', **job)
    assert not (tmp_path / 'run').exists()
    made = finetune(tmp_path / 'edited', tmp_path / 'run', scratch=True, **job)
    assert Config.fromfile(made.config).model.backbone.init_cfg is None


def test_from_scratch_nothing_is_frozen(exported, boxes_alone, demo_images, tmp_path):
    shutil.copytree(exported, tmp_path / 'edited')
    with (tmp_path / 'edited/mask-rcnn_small.py').open('a') as stream:
        stream.write('\nmodel["backbone"] = dict(frozen_stages=1, norm_eval=True)\n')
    job = dict(train=boxes_alone, images=demo_images, val=boxes_alone, workers=0)
    with pytest.raises(
        UsageError, match='--scratch: .*frozen_stages=1, .*norm_eval=True'
    ):
        finetune(tmp_path / 'edited', tmp_path / 'run', scratch=True, **job)
    assert not (tmp_path / 'run').exists()


def test_a_line_that_was_cut_off_in_a_log_is_left_out(tmp_path):
    log = tmp_path / 'scalars.json'
    log.write_text('{"coco/bbox_mAP": 0.2, "step": 1}\n{"loss": 0.1, "it')
    backend = JSONVisBackend(save_dir=str(tmp_path), scalar_save_file='scalars.json')
    backend.add_scalars({'coco/bbox_mAP': 0.5}, step=2)
    assert best_metrics(log, 2) == {'epoch': 2, 'coco/bbox_mAP': 0.5}
    # After a resume the epoch is evaluated again, and its first metrics are void.
    backend.add_scalars({'coco/bbox_mAP': 0.3}, step=2)
    assert best_metrics(log, 2) == {'epoch': 2, 'coco/bbox_mAP': 0.3}
    assert [each['step'] for each in read_lines(log)] == [1, 2, 2]


@pytest.mark.parametrize('workers', [0, 2])
def test_an_image_that_is_cut_off_is_named_and_can_be_fixed(
    exported, boxes_alone, demo_images, tmp_path, workers, stop_workers
):
    images = tmp_path / 'my photos'
    shutil.copytree(demo_images, images)
    whole = (images / 'coffee.jpg').read_bytes()
    (images / 'coffee.jpg').write_bytes(whole[:3000])  # its header is there
    job = dict(
        exported=exported,
        train=boxes_alone,
        images=images,
        val=boxes_alone,
        out=tmp_path / 'run',
        epochs=1,
        scale=(64, 64),
        workers=workers,
    )
    with pytest.raises(
        SoCoError, match='my photos/coffee.jpg is damaged. Fix it and continue'
    ):
        finetune(**job)
    stop_workers()
    (images / 'coffee.jpg').write_bytes(whole)
    assert finetune(**job, resume=True).checkpoint.is_file()


def test_a_loss_that_is_not_finite_stops_a_finetuning(exported, mixed, tmp_path):
    with pytest.raises(SoCoError, match='not finite .* epoch 2.*epoch_1.pth'):
        finetune(
            exported,
            out=tmp_path / 'run',
            options={
                'optim_wrapper.optimizer.lr': 1e36,
                'param_scheduler.0.start_factor': 1.0,
            },
            **dict(mixed, epochs=3),
        )
    (kept,) = (tmp_path / 'run/checkpoints').glob('epoch_*')
    assert kept.name == 'epoch_1.pth'
    assert not (tmp_path / 'run/best.pth').exists()


def test_too_little_memory_is_said_in_a_sentence(exported, mixed, tmp_path, stop_with):
    from mmengine.hooks import Hook

    class Greedy(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            raise torch.OutOfMemoryError(
                'CUDA out of memory. Tried to allocate 2.00 GiB'
            )

    job = dict(exported=exported, out=tmp_path / 'run', **mixed)
    assert str(stop_with(Greedy(), SoCoError, **job)) == (
        'The memory of the GPU is not enough for a step of the training (2.00 GiB more '
        'were asked for). Set a smaller --batch-size or --scale.'
    )


@pytest.mark.parametrize(
    ('when', 'saved'), [('in an iteration', 'iter_3'), ('in an evaluation', 'epoch_1')]
)
def test_a_signal_saves_and_the_run_goes_on_with_the_next_images(
    exported, mixed, tmp_path, monkeypatch, when, saved
):
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    class Watch(Hook):
        def __init__(self, stops):
            self.stops, self.seen, self.evaluated = stops, [], []

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            self.seen += [
                (runner.iter, each.img_id) for each in data_batch['data_samples']
            ]
            if self.stops and saved == f'iter_{runner.iter + 1}':
                os.kill(os.getpid(), signal.SIGTERM)

        def before_val_iter(self, runner, batch_idx, data_batch=None):
            if self.stops and saved == f'epoch_{runner.epoch}':
                os.kill(os.getpid(), signal.SIGTERM)

        def after_val_epoch(self, runner, metrics=None):
            self.evaluated.append(runner.iter)

    build = Runner.build_train_loop

    def train(out, stops=False):
        watch = Watch(stops)

        def with_hook(self, loop):
            if watch not in self.hooks:
                self.register_hook(watch)
            return build(self, loop)

        job = dict(mixed, batch_size=2, out=tmp_path / out, resume=out == 'run')
        with monkeypatch.context() as patch:
            patch.setattr(Runner, 'build_train_loop', with_hook)
            if stops:
                with pytest.raises(Stopped, match='Stopped by SIGTERM') as stop:
                    finetune(exported, **dict(job, resume=False))
                assert stop.value.exit_code == 75 and saved in str(stop.value)
            else:
                made = finetune(exported, **job)
                assert made.metrics.is_file()
        return watch.seen, watch.evaluated

    whole, evaluated = train('whole')
    assert len(whole) == 8 and evaluated == [2, 4]
    before, early = train('run', stops=True)
    assert not (tmp_path / 'run/best.pth').exists()
    after, late = train('run')
    assert before + after == whole
    assert early + late == evaluated
