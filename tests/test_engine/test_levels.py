"""Levels of objects: those of the pretraining beside those of the detector."""

import pytest
import torch
from mmengine.config import Config

from soco_mm.apis.browse import browse
from soco_mm.detectors.levels import training_scale
from soco_mm.detectors.pretraining_recipe import detector_recipe, levels_of
from soco_mm.engine.config import load_config
from soco_mm.engine.levels import KEY, BoxLevels, DetectorLevels, compare_levels
from soco_mm.engine.preview import build_dataset

LEVELS = DetectorLevels('mine.py', (1333, 800), (4, 8, 16, 32), (112, 224, 448))


@pytest.mark.parametrize(
    'share, size, stride',
    [
        # A square image becomes 800 pixels wide: 100 and 125 pixels.
        (1 / 64, (1000, 1000), 4),
        (25 / 1024, (1000, 1000), 8),
        # 4000 x 1000 becomes 1333 x 333, in which it has 83 pixels.
        (1 / 64, (4000, 1000), 4),
        (0.9, (500, 500), 32),
    ],
)
def test_an_object_is_assigned_by_its_size_in_the_detectors_images(share, size, stride):
    assert LEVELS.assign(torch.tensor([share]), *size) == [stride]


def test_bounds_follow_the_size_of_the_view():
    # A white blood cell of the study: 45 pixels in a view of 128 are 90 in an image
    # of 256, which the detector finds on P2.
    small = DetectorLevels('mine.py', (256, 256), (4, 8, 16, 32), (112, 224, 448))
    assert small.bounds_in_view(128) == [56, 112, 224]
    assert small.assign(torch.tensor([(45 / 128) ** 2]), 256, 256) == [4]


@pytest.mark.parametrize(
    'name, bounds',
    [
        ('faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', [112, 224, 448]),
        ('fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py', [128, 256, 512, 1024]),
        # Anchors of 8 strides, one a level.
        ('atss/atss_r50_fpn_1x_coco.py', [64 * 2**0.5 * 2**i for i in range(4)]),
        # Ranges that overlap: 1 to 64, 32 to 128, 64 to 256 and so on.
        (
            'foveabox/fovea_r50_fpn_4xb4-1x_coco.py',
            [(64 * 32) ** 0.5 * 2**i for i in range(4)],
        ),
        # By anchors of 8 strides, in spite of FCOS's ranges in its config.
        ('vfnet/vfnet_r50_fpn_1x_coco.py', [64 * 2**0.5 * 2**i for i in range(4)]),
        # Of anchors that only say where.
        ('fsaf/fsaf_r50_fpn_1x_coco.py', [64 * 2**0.5 * 2**i for i in range(4)]),
    ],
)
def test_bounds_are_read_from_the_detector(name, bounds):
    levels = levels_of(f'mmdet::{name}')
    assert list(levels.bounds) == pytest.approx(bounds, rel=1e-3)
    assert tuple(levels.scale) == (1333, 800)


@pytest.mark.parametrize(
    'resize, expected',
    [
        (dict(type='Resize', scale=(640, 480)), ((640, 480), False)),
        (
            dict(
                type='RandomChoiceResize',
                scales=[(1333, 640), (1333, 672), (1333, 800)],
                keep_ratio=True,
            ),
            ((1333, 672), True),
        ),
        # A factor of 0.1 to 2 around it: the size of the test counts.
        (
            dict(type='RandomResize', scale=(1280, 1280), ratio_range=(0.1, 2.0)),
            ((512, 384), True),
        ),
    ],
)
def test_the_scale_is_that_of_the_training(resize, expected):
    test = dict(type='Resize', scale=(512, 384), keep_ratio=True)
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=dict(pipeline=[resize])),
            test_dataloader=dict(dataset=dict(pipeline=[test])),
        )
    )
    assert training_scale(cfg) == expected


@pytest.fixture
def cfg(demo_images, store):
    cfg = load_config('soco_r50_fpn_100e')
    cfg.train_dataloader.dataset.update(
        data_root=str(demo_images), proposals=str(store)
    )
    return cfg


def test_objects_on_the_detectors_level_are_counted(cfg):
    assert compare_levels(cfg, build_dataset(cfg)) is None
    # The same rule as the pretraining's for views of square images: all of V1 but
    # for the aspect of the photos; none on other strides.
    cfg[KEY] = DetectorLevels('x.py', (224, 224), (4, 8, 16, 32), (48, 96, 192), False)
    cfg[KEY] = cfg[KEY].to_dict()
    dataset = build_dataset(cfg)
    found = compare_levels(cfg, dataset)
    assert found.agreeing[0] == found.objects[0] > 0
    assert found.agreeing[2] < found.objects[2]  # V3 is half as large
    assert sum(found.levels.values()) == sum(found.objects)
    cfg[KEY]['strides'] = (1, 2, 64, 128)
    assert compare_levels(cfg, dataset).agreeing == [0, 0, 0]
    assert 'in V1' in found.describe() and 'x.py' in found.describe()


def test_browse_shows_both_levels(cfg, tmp_path):
    cfg[KEY] = LEVELS.to_dict()
    sample = build_dataset(cfg)[0]
    names = BoxLevels(cfg).names(sample, (640, 480))
    assert all('/P' in each for view in names for each in view)
    # An object is one object for the detector, whatever the view.
    assert len({tuple(each.split('/')[1] for each in view) for view in names}) == 1
    cfg.dump(tmp_path / 'recipe.py')
    made = browse(tmp_path / 'recipe.py', tmp_path / 'out', num_images=1)
    assert 'the level to which mine.py assigns the object' in made.page.read_text()


def test_with_a_config_the_bounds_stay_the_recipes():
    recipe = load_config('soco_r50_fpn_100e')
    own = detector_recipe(
        'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py', 'soco_r50_fpn_100e'
    )
    extractor = recipe.model.roi_head.bbox_roi_extractor
    assert extractor.scale_bounds == [48, 96, 192, 224]
    scaled = own.model.roi_head.bbox_roi_extractor.scale_bounds
    assert scaled == pytest.approx([112 * 0.28, 224 * 0.28, 448 * 0.28, 224])
