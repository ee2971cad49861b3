"""Detectors of MMDetection, pretrained as they are: each built, trained, exported."""

import copy

import numpy as np
import pytest
import torch
from detector_configs import DETECTORS, write_small
from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from soco_mm.apis.export import export_detector, export_weights
from soco_mm.apis.pretrain import pretrain
from soco_mm.detectors.build import build_detector
from soco_mm.detectors.features import frozen_notes
from soco_mm.detectors.fit import WEIGHTS
from soco_mm.detectors.pretraining_model import pixels
from soco_mm.detectors.pretraining_recipe import detector_recipe, plan_pretraining
from soco_mm.detectors.signatures import nothing_frozen
from soco_mm.engine.config import load_config
from soco_mm.engine.init_weights import match_init_weights
from soco_mm.engine.pretraining import PretrainArguments
from soco_mm.job import claim_run
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError
from soco_mm.visualization import write_png

SIZES = (64, 64, 32)
# Their necks pool finer maps onto coarser ones, which a smaller view does not have.
LARGER = {
    'nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py': (128, 128, 128),
    'hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py': (64, 64, 64),
}
# Six blocks of deformable convolutions.
SLOW = ('dyhead/atss_r50_fpn_dyhead_1x_coco.py',)
BASE = 'soco_r18_fpn_quick'
MLP = {'model.projector.hid_channels': 16, 'model.head.predictor.hid_channels': 16}


def view_options(sizes):
    return {
        f'train_dataloader.dataset.pipeline.1.views.{index}.size': size
        for index, size in enumerate(sizes)
    }


def batch(model, size):
    """Two random images with an object on each level that a view has."""
    generator = torch.Generator().manual_seed(size)
    view = torch.randn(2, 3, size, size, generator=generator)
    bounds = model.roi_head.bbox_roi_extractor.inner_bounds.tolist()
    inside = [low * 0.9 for low in bounds if low > 1] + [size * 0.95]
    sides = torch.tensor([min(side, size * 0.95) for side in inside])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], 1) + 1.0
    boxes = boxes.clamp(max=size).expand(2, -1, -1)
    return view, boxes, torch.ones(boxes.shape[:2], dtype=torch.bool)


def train(recipe, sizes, steps=2):
    """The model after some steps of the recipe's optimiser."""
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(recipe.model))
    model.init_weights()
    model.train()
    before = copy.deepcopy(model.state_dict())
    settings = copy.deepcopy(recipe.optim_wrapper)
    settings.type = 'OptimWrapper'
    settings.optimizer.lr = 0.01
    with DefaultScope.overwrite_default_scope('soco_mm'):
        optimizer = build_optim_wrapper(model, settings)
    views, boxes, valid = zip(*[batch(model, size) for size in sizes])
    for step in range(1, steps + 1):
        loss = model.loss(list(views), list(boxes), list(valid))['loss']
        optimizer.backward(loss)
        gradients = {
            name for name, value in model.named_parameters() if value.grad is not None
        }
        optimizer.step()
        optimizer.zero_grad()
        model.update_target(step, steps)
    assert torch.isfinite(loss)
    return model, before, gradients


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(each, marks=pytest.mark.slow if each in SLOW else ())
        for each in DETECTORS
    ],
)
def test_a_detector_is_pretrained_as_it_is(name, tmp_path):
    config = write_small(tmp_path, name)
    sizes = LARGER.get(name, SIZES)
    recipe = detector_recipe(config, BASE, view_options(sizes))
    recipe.merge_from_dict(MLP)
    model, before, gradients = train(recipe, sizes)
    parts = ('backbone.', 'neck.', 'roi_head.', 'bbox_head.')
    shared = [each for each, _ in model.named_parameters() if each.startswith(parts)]
    # All that is handed over was trained, whatever the detector freezes.
    untrained = {each for each in shared if each not in gradients}
    assert untrained == ONLY_RPN.get(name, set())
    assert recipe.get('find_unused_parameters', False) == bool(untrained)

    checkpoint = tmp_path / 'epoch_1.pth'
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(cfg=recipe.pretty_text)),
        checkpoint,
    )
    report = export_detector(checkpoint, tmp_path / 'out', detector=config)
    assert report.max_difference < 1e-4
    # Every tensor of the shared parts has its place, under its own name.
    assert report.unused == [] and report.not_handed_over == []
    assert not report.parts['backbone'].new
    assert 'neck' not in report.parts or not report.parts['neck'].new
    weights = torch.load(tmp_path / 'out' / WEIGHTS)['state_dict']
    theirs = build_detector(config).state_dict()
    assert set(weights) <= set(theirs)
    assert set(shared) <= set(weights)
    heads = [each for each in weights if 'bbox_head' in each]
    assert bool(heads) == (name not in WITHOUT_HEAD)
    changed = [each for each in shared if not torch.equal(weights[each], before[each])]
    assert len(changed) > 0.5 * len(shared)


# The level that no RoI head reads.
ONLY_RPN = {
    'hrnet/faster-rcnn_hrnetv2p-w18-1x_coco.py': {
        'neck.fpn_convs.4.conv.weight',
        'neck.fpn_convs.4.conv.bias',
    }
}
# f^H is res5, or the detector shares no layers that run on an object.
WITHOUT_HEAD = (
    'mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py',
    'dyhead/atss_r50_fpn_dyhead_1x_coco.py',
    'solo/solo_r50_fpn_1x_coco.py',
    'double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py',
    'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
)


@pytest.mark.parametrize(
    'name, words',
    [
        ('detr/detr_r50_8xb2-150e_coco.py', 'no feature pyramid.*--backbone-only'),
        ('ssd/ssd300_coco.py', 'its maps have 512, 1024, 256 channels'),
        ('yolo/yolov3_mobilenetv2_8xb24-320-300e_coco.py', 'the strides 32, 16, 8'),
        (
            'centernet/centernet_r18_8xb16-crop512-140e_coco.py',
            'one map of the stride 4',
        ),
        ('mask2former/mask2former_r50_8xb2-lsj-50e_coco.py', 'neither a neck nor'),
    ],
)
def test_detectors_without_features_of_objects_are_refused(name, words):
    with pytest.raises(SoCoError, match=words):
        detector_recipe(f'mmdet::{name}', BASE)


@pytest.fixture(scope='module')
def caffe(tmp_path_factory):
    """The recipe of a detector in Caffe's style, which freezes its first stage."""
    path = write_small(
        tmp_path_factory.mktemp('caffe'), 'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py'
    )
    return path, detector_recipe(path, BASE)


def test_all_is_trained_with_the_detectors_pixels(caffe):
    path, recipe = caffe
    theirs = Config.fromfile(path).model
    assert theirs.backbone.frozen_stages == 1 and theirs.backbone.norm_eval
    backbone = recipe.model.backbone
    assert backbone.frozen_stages == -1 and not backbone.norm_eval
    assert backbone.norm_cfg == dict(type='SyncBN', requires_grad=True)
    assert backbone.style == 'caffe' and 'init_cfg' not in backbone
    pixels = MODELS.build(recipe.model.data_preprocessor)
    views = [torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)]  # RGB
    blue_first = pixels(dict(views=views))['views'][0].flatten().tolist()
    assert blue_first == pytest.approx([30 - 102.9801, 20 - 115.9465, 10 - 122.7717])


@pytest.mark.parametrize('preprocessor', [None, dict(pad_size_divisor=32)])
def test_images_are_those_of_a_pipeline_that_normalises(tmp_path, preprocessor):
    """As in configs that were converted from MMDetection 2."""
    path = write_small(tmp_path, 'retinanet/retinanet_r18_fpn_1x_coco.py')
    cfg = Config.fromfile(path)
    cfg.model.pop('data_preprocessor')
    if preprocessor:
        cfg.model.data_preprocessor = dict(type='DetDataPreprocessor', **preprocessor)
    own = dict(mean=[10.0, 20.0, 30.0], std=[2.0, 4.0, 8.0])
    for name in ('train', 'val', 'test'):
        pipeline = cfg[f'{name}_dataloader'].dataset.pipeline
        pipeline.insert(-1, dict(type='Normalize', **own, to_rgb=False))
    cfg.dump(path)
    pixels = detector_recipe(path, BASE).model.data_preprocessor
    assert (pixels.mean, pixels.std, pixels.rgb_to_bgr) == (*own.values(), True)


@pytest.mark.parametrize(
    ('kind', 'stages'),
    [('ResNet', -1), ('SwinTransformer', -1), ('EfficientNet', 0), ('ConvNeXt', 0)],
)
def test_nothing_is_frozen_as_each_backbone_says_it(kind, stages):
    scope = 'mmcls' if kind == 'ConvNeXt' else 'mmdet'
    cls = MODELS.get(f'{scope}.{kind}')
    assert nothing_frozen(cls) == stages
    settings = dict(
        ResNet=dict(depth=18, norm_eval=False), EfficientNet=dict(arch='b0')
    )
    net = cls(frozen_stages=stages, **settings.get(kind, {}))
    net.train()
    assert all(each.requires_grad for each in net.parameters())
    assert frozen_notes(nn.ModuleDict(dict(backbone=net))) == []


def test_a_recipe_is_plain_data_and_changes_only_the_model(caffe):
    _, recipe = caffe
    base = load_config(BASE)
    again = Config.fromstring(recipe.pretty_text, '.py')
    assert again.to_dict() == recipe.to_dict()
    for key in ('train_cfg', 'optim_wrapper', 'param_scheduler', 'train_dataloader'):
        assert recipe[key] == base[key], key
    assert recipe.model.head == base.model.head
    assert recipe.filename == 'soco_small_fcos_r50-caffe_fpn_gn-head_1x_coco.py'


def test_other_backbones_than_resnets_are_trained_by_adamw(tmp_path):
    path = write_small(tmp_path, 'swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py')
    recipe = detector_recipe(path, BASE)
    assert recipe.optim_wrapper.optimizer.type == 'AdamW'
    # The target network should be exact.
    assert get_config(
        'mmdet::swin/mask-rcnn_swin-t-p4-w7_fpn_1x_coco.py'
    ).model.backbone.drop_path_rate
    assert recipe.model.backbone.drop_path_rate == 0


def test_views_are_as_large_as_the_neck_needs_them(tmp_path):
    path = write_small(tmp_path, 'nas_fpn/retinanet_r50_nasfpn_crop640-50e_coco.py')
    views = detector_recipe(path, BASE).train_dataloader.dataset.pipeline[1].views
    assert [view['size'] for view in views] == [224, 224, 112]
    with pytest.raises(SoCoError, match='cannot run on views of 32 pixels'):
        detector_recipe(path, BASE, view_options((128, 128, 32)))


def test_views_are_no_larger_than_the_detectors_images(tmp_path):
    path = write_small(tmp_path, 'retinanet/retinanet_r18_fpn_1x_coco.py')
    cfg = Config.fromfile(path)
    cfg.train_dataloader.dataset.pipeline[2].scale = (256, 140)
    cfg.dump(path)
    recipe = detector_recipe(path, BASE)
    views = recipe.train_dataloader.dataset.pipeline[1].views
    assert [view['size'] for view in views] == [128, 128, 64]
    # The largest anchor of P3 has 4 * 8 * 2 ** (2 / 3) pixels, the smallest of P4 64.
    bounds = recipe.model.roi_head.bbox_roi_extractor.scale_bounds
    border = (32 * 2 ** (2 / 3) * 64) ** 0.5
    assert bounds[0] == pytest.approx(border * 128 / 140, abs=0.01)


def test_the_model_of_a_detector_is_exported_only_to_that_detector(tmp_path, caffe):
    path, recipe = caffe
    model = MODELS.build(recipe.model)
    checkpoint = tmp_path / 'epoch_1.pth'
    torch.save(
        dict(state_dict=model.state_dict(), meta=dict(cfg=recipe.pretty_text)),
        checkpoint,
    )
    with pytest.raises(UsageError, match="Give the detector's config with --detector"):
        export_detector(checkpoint, tmp_path / 'out')
    with pytest.raises(SoCoError, match='on BGR images.*safetensors'):
        export_weights(checkpoint, tmp_path / 'w.pth', format='timm')
    report = export_weights(
        checkpoint, tmp_path / 'w.safetensors', format='safetensors'
    )
    assert report.written['bbox_head'] == sum(
        name.startswith('bbox_head.') for name in model.state_dict()
    )
    adapted = export_detector(checkpoint, tmp_path / 'out', detector=path, adapt=True)
    assert adapted.notes == [] and adapted.unused == []
    pixels = Config.fromfile(adapted.config).model.data_preprocessor
    assert not pixels.bgr_to_rgb and pixels.mean == [102.9801, 115.9465, 122.7717]


def test_a_recipe_of_a_detector_without_it_is_refused_before_training(
    tmp_path, caffe, demo_images, store
):
    _, recipe = caffe
    recipe.dump(tmp_path / 'recipe.py')
    with pytest.raises(UsageError, match="Give the detector's config with --detector"):
        pretrain(
            demo_images,
            tmp_path / 'run',
            config=tmp_path / 'recipe.py',
            proposals=store,
        )
    assert not (tmp_path / 'run').exists()


def test_with_weights_to_start_from_a_detectors_recipe_is_a_short_one(tmp_path):
    images = tmp_path / 'images'
    images.mkdir()
    for name in 'ab':
        write_png(images / f'{name}.png', np.zeros((32, 32, 3), np.uint8))
    weights = tmp_path / 'resnet18.pth'
    torch.save({'backbone.conv1.weight': torch.ones(64, 3, 7, 7)}, weights)

    def plan(init):
        given = PretrainArguments(
            images, detector='mmdet::retinanet/retinanet_r18_fpn_1x_coco.py', init=init
        )
        out = tmp_path / 'run'
        return plan_pretraining(given.complete(out, False), out)

    short, full = plan(weights), plan(None)
    assert short.cfg.train_cfg == dict(type='StepTrainLoop', max_steps=200)
    assert short.cfg.model.frozen_parts == ('backbone',)
    assert short.cfg.model.head.loss.type == 'ObjectInfoNCELoss'
    assert short.cfg.handed_over == ['backbone', 'neck']
    assert full.cfg.train_cfg.max_epochs == 100 and 'handed_over' not in full.cfg
    assert 'frozen_parts' not in full.cfg.model
    for each in (short, full):
        assert each.cfg.model.bbox_head.type == 'ObjectDenseHead'
    # A run that goes on needs the weights no more to know its recipe.
    job = short.job()
    claim_run(tmp_path / 'run', job, False, False)
    weights.unlink()
    resumed = PretrainArguments(None).complete(tmp_path / 'run', True)
    again = plan_pretraining(resumed, tmp_path / 'run')
    assert again.cfg.train_cfg == short.cfg.train_cfg
    assert claim_run(tmp_path / 'run', again.job(), True, False) == {}


def test_weights_that_the_detector_names_are_as_its_own_model(tmp_path, demo_images):
    """Nothing in a file of Caffe's weights tells its channels and strides."""
    backbone = MODELS.build(dict(type='mmdet.ResNet', depth=50, style='caffe'))
    for name, same in (('resnet50_caffe-788b5fa3.pth', True), ('other.pth', False)):
        torch.save(backbone.state_dict(), tmp_path / name)
        given = PretrainArguments(
            demo_images,
            detector='mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
            init=tmp_path / name,
        )
        out = tmp_path / 'run'
        plan = plan_pretraining(given.complete(out, False), out)
        plan.start(False)
        model = MODELS.build(plan.cfg.model)
        if not same:
            with pytest.raises(SoCoError, match="has style='pytorch'"):
                match_init_weights(plan.cfg, model)
            continue
        assert plan.cfg.model.data_preprocessor.std == [1.0, 1.0, 1.0]
        found = match_init_weights(plan.cfg, model)
        assert not found.turned and found.origin.bgr
        first = found.weights['backbone.conv1.weight']
        assert torch.equal(first, backbone.conv1.weight)


def test_of_a_detector_without_neck_a_short_recipe_hands_over_all(tmp_path):
    recipe = detector_recipe(
        'mmdet::faster_rcnn/faster-rcnn_r50-caffe_c4-1x_coco.py',
        'short/soco_r50_fpn_short',
    )
    assert recipe.model.neck is None and 'handed_over' not in recipe
    assert recipe.model.frozen_parts == ('backbone',)


def test_a_detector_refuses_weights_that_leave_its_backbone_random(
    demo_images, store, tmp_path
):
    path = tmp_path / 'partial.pth'
    state = MODELS.build(dict(type='mmdet.ResNet', depth=18)).state_dict()
    del state['layer4.1.conv2.weight']
    torch.save(state, path)
    out = tmp_path / 'run'
    with pytest.raises(SoCoError, match=r'119 of the 120 .*backbone'):
        pretrain(
            demo_images,
            out,
            detector='mmdet::retinanet/retinanet_r18_fpn_1x_coco.py',
            init=path,
            proposals=store,
            workers=0,
        )
    assert not out.exists()


@pytest.mark.parametrize('layer', ['ConvAWS2d', 'ConvWS2d', 'SAConv2d', 'Conv2d'])
def test_layers_that_need_their_weights_as_nchw_get_them(layer):
    import mmcv.cnn.bricks.conv_ws as weight_standardized
    import mmcv.ops

    home = next(
        each
        for each in (weight_standardized, mmcv.ops, torch.nn)
        if hasattr(each, layer)
    )
    net = torch.nn.Sequential(getattr(home, layer)(8, 8, 3, padding=1))
    made = pixels(None, net)
    assert made.get('channels_last', True) == (layer == 'Conv2d')
    if made.get('channels_last', True):
        return
    x = torch.zeros(1, 8, 16, 16)
    assert net(x).shape == x.shape
    # If they did not need it, the exception would be dead.
    with pytest.raises(RuntimeError, match='view size is not compatible|contiguous'):
        net.to(memory_format=torch.channels_last)(
            x.to(memory_format=torch.channels_last)
        )


@pytest.mark.parametrize(
    'name, searched',
    [
        ('yolox/yolox_tiny_8xb8-300e_coco.py', False),
        ('retinanet/retinanet_r18_fpn_1x_coco.py', True),
    ],
)
def test_cudnn_does_not_search_for_each_number_of_objects_on_a_level(
    name, searched, tmp_path
):
    recipe = detector_recipe(write_small(tmp_path, name), BASE)
    assert recipe.env_cfg.cudnn_benchmark == searched
