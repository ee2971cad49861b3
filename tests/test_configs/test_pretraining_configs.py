"""The recipes under configs/soco, against the table in the documentation."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from config_changes import describe_changes
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope

from soco_mm.datasets import ObjectViewDataset
from soco_mm.engine.config import CONFIG_ROOT
from soco_mm.registry import MODELS, TRANSFORMS

ROOT = CONFIG_ROOT / 'soco'
DOCS = Path(__file__).parents[2] / 'docs/pretraining.md'
NAMES = sorted(
    str(path.relative_to(ROOT).with_suffix('')) for path in ROOT.rglob('*.py')
)


def rows():
    """Config -> base and changes, as the documentation has them."""
    found = {}
    for line in DOCS.read_text().splitlines():
        cells = [cell.strip() for cell in line.split('|')[1:-1]]
        if len(cells) == 4 and cells[1].startswith('`'):
            name, base = cells[1].strip('`'), cells[2].strip('`')
            assert name not in found, f'{name} is there twice'
            found[name] = base, re.findall('`([^`]+)`', cells[3])
    return found


def load(name):
    return Config.fromfile(ROOT / f'{name}.py')


def test_every_recipe_has_its_row():
    assert sorted(rows()) == NAMES


@pytest.mark.parametrize('name', NAMES)
def test_a_recipe_changes_what_its_row_says_and_nothing_else(name):
    base, changes = rows()[name]
    if not base:
        assert name == 'soco_r50_fpn_100e'
        return
    assert describe_changes(load(base), load(name)) == changes


def training_key(name):
    """One for all recipes of the same model, views and proposals."""
    cfg = load(name)
    pipeline = cfg.train_dataloader.dataset.pipeline
    return json.dumps([cfg.model.to_dict(), pipeline], sort_keys=True)


DISTINCT = sorted({training_key(name): name for name in reversed(NAMES)}.values())


@pytest.mark.parametrize('name', DISTINCT)
def test_a_recipe_trains_a_step_in_small(name):
    cfg = load(name)
    for part in (cfg.model.projector, cfg.model.head.predictor):
        part.hid_channels = 16
    neck = cfg.model.get('neck')
    if cfg.model.backbone.type == 'mmdet.ResNet' and neck:
        cfg.model.backbone.base_channels = 16
        neck.in_channels = [channels // 4 for channels in neck.in_channels]
    torch.manual_seed(0)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    pipeline = cfg.train_dataloader.dataset.pipeline
    specs = next(t for t in pipeline if t.type == 'ConstructViews').views
    select = next(t for t in pipeline if t.type == 'SelectProposals')
    per_set = select.num_proposals + select.get('whole_view', False)
    slots = per_set * len(select.get('view_sets') or [0])
    views, boxes, valid = [], [], []
    for index, spec in enumerate(specs):
        side = spec['size'] // 2
        corner = torch.rand(2, slots, 2) * side / 2
        views.append(torch.randn(2, 3, side, side))
        boxes.append(torch.cat([corner, corner + side / 2], -1))
        sets = select.get('view_sets') or [range(len(specs))]
        mask = [index in views for views in sets for _ in range(per_set)]
        valid.append(torch.tensor(mask).expand(2, slots))
    loss = model.loss(views, boxes, valid)['loss']
    loss.backward()
    infonce = cfg.model.head.loss.type == 'ObjectInfoNCELoss'
    largest = 2 * (10 + math.log(2 * slots)) if infonce else 4
    assert abs(loss.item()) <= largest * (len(specs) - 1)
    frozen = tuple(f'{part}.' for part in cfg.model.get('frozen_parts', ()))
    for key, parameter in model.named_parameters():
        kept = key.startswith(('target_net.', *frozen))
        assert (parameter.grad is None) == kept, key
    if not frozen:
        stem = next(iter(model.backbone.parameters()))
        assert stem.grad.abs().sum() > 0


@pytest.mark.parametrize('name', NAMES)
def test_a_recipe_makes_samples_of_real_photos(name, store, demo_images):
    cfg = load(name)
    data = cfg.train_dataloader.dataset
    dataset = ObjectViewDataset(
        str(demo_images), str(store), data.pipeline, num_images=3
    )
    sample = dataset[1]
    specs = data.pipeline[1]['views']
    assert [tuple(view.shape) for view in sample['views']] == [
        (spec['size'], spec['size'], 3) for spec in specs
    ]
    for view, boxes, valid in zip(*sample.values()):
        assert boxes.min() >= 0 and boxes.max() <= view.shape[0]
        assert valid.any()
    both = sample['valid'][0]
    for mask in sample['valid'][1:]:
        assert (both & mask).any()


def views_of(name):
    """Views and sets of a recipe, and its transforms by name."""
    pipeline = load(name).train_dataloader.dataset.pipeline
    kinds = {transform.type: transform for transform in pipeline}
    return kinds['ConstructViews'].views, kinds


def test_released_soco_star_shares_boxes_between_an_image_and_its_resize():
    """The authors' img4 (112) is img2 resized; img3 (192) is its own crop."""
    views, kinds = views_of('released/soco-star_r50_fpn_400e')
    assert [view['size'] for view in views] == [224, 224, 112, 192]
    assert [view.get('source') for view in views] == [None, None, 1, None]
    assert 'crop_scale' not in views[2]
    sets = [tuple(each) for each in kinds['SelectProposals'].view_sets]
    assert sets == [(0, 1, 2), (0, 3)]


@pytest.mark.parametrize('name', [n for n in NAMES if 'released' in n])
def test_released_recipes_make_views_as_the_authors_code(name):
    views, kinds = views_of(name)
    c4 = '_c4_' in name
    for view in views:
        if 'crop_scale' in view:  # of the image, in its own pixels
            assert 'source' not in view
            assert view['crop_scale'] == ((0.6, 1.0) if c4 else (0.5, 1.0))
            assert view['crop_ratio'] == pytest.approx((3 / 4, 4 / 3))
    assert kinds['ConstructViews'].max_tries == 5
    if c4:
        assert 'BoxJitter' not in kinds
    else:
        assert kinds['BoxJitter'].anchor == 'corner'
        assert tuple(kinds['BoxJitter'].prob) == (0.5, 0.0)
    assert ('BoxCutout' in kinds) == (c4 or name.endswith('fpn_100e'))


@pytest.mark.parametrize('name', [n for n in NAMES if 'released' not in n])
def test_the_papers_recipes_have_none_of_the_released_switches(name):
    views, kinds = views_of(name)
    assert 'max_tries' not in kinds['ConstructViews']
    assert 'anchor' not in kinds.get('BoxJitter', {})
    assert 'BoxCutout' not in kinds
    assert all(view.get('source') is not None for view in views[1:])


def test_every_transform_of_the_table_exists():
    assert all(
        TRANSFORMS.get(transform.type)
        for name in NAMES
        for transform in load(name).train_dataloader.dataset.pipeline
    )


def test_the_optimiser_of_other_backbones_does_not_decay_norms_and_biases():
    from mmengine.optim import build_optim_wrapper

    cfg = load('soco_swin-t_fpn_100e')
    model = MODELS.build(cfg.model)
    cfg.optim_wrapper.type = 'OptimWrapper'
    with DefaultScope.overwrite_default_scope('soco_mm'):
        wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    names = {p: n for n, p in model.named_parameters()}
    decays = {
        names[p]: group['weight_decay']
        for group in wrapper.param_groups
        for p in group['params']
        if p in names
    }
    assert type(wrapper.optimizer) is torch.optim.AdamW
    assert set(decays) == {
        name for name in names.values() if not name.startswith('target_net.')
    }
    assert decays['backbone.stages.0.blocks.0.attn.w_msa.qkv.weight'] == 0.05
    for name in (
        'backbone.stages.0.blocks.0.norm1.weight',
        'backbone.stages.0.blocks.0.attn.w_msa.qkv.bias',
        'backbone.stages.0.blocks.0.attn.w_msa.relative_position_bias_table',
        'neck.lateral_convs.0.bn.weight',
    ):
        assert decays[name] == 0, name


def test_the_papers_recipe_has_the_papers_numbers():
    """Those of Sections 3.2, 3.3 and 4.1, to which all other rows refer."""
    cfg = load('soco_r50_fpn_100e')
    pipeline = cfg.train_dataloader.dataset.pipeline
    steps = {step.type: step for step in pipeline}
    first, second, third = steps['ConstructViews'].views
    assert (first.size, second.size, third.size) == (224, 224, 112)
    assert (second.source, second.crop_scale) == (0, (0.5, 1.0))
    assert second.crop_ratio == pytest.approx((0.75, 4 / 3)) and third.source == 1
    assert steps['SelectProposals'].num_proposals == 4
    assert (steps['BoxJitter'].prob, steps['BoxJitter'].max_ratio) == (0.5, 0.1)
    assert steps['ViewRandomFlip'].prob == 0.5
    colours = steps['ViewColorJitter']
    names = ('brightness', 'contrast', 'saturation', 'hue')
    assert [colours[name] for name in names] == [0.4, 0.4, 0.2, 0.1]
    assert (colours.prob, steps['ViewRandomGrayscale'].prob) == (0.8, 0.2)
    blur, solarize = steps['ViewGaussianBlur'], steps['ViewSolarize']
    assert (blur.sigma, blur.prob) == ((0.1, 2.0), (1.0, 0.1))
    assert (solarize.threshold, solarize.prob) == (128, (0.0, 0.2))

    model = cfg.model
    assert model.base_momentum == 0.99
    # Levels by the square root of the area, in views of 224 pixels.
    assert model.roi_head.bbox_roi_extractor.scale_bounds == [48, 96, 192, 224]
    assert model.roi_head.bbox_roi_extractor.output_size == 7
    head = model.roi_head.bbox_head
    assert (head.num_shared_convs, head.num_shared_fcs) == (4, 1)
    for part in (model.projector, model.head.predictor):
        assert (part.hid_channels, part.out_channels, part.num_layers) == (4096, 256, 2)
    assert model.head.loss.type == 'ObjectCosineLoss'

    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer == dict(
        type='LARS', lr=8.0, momentum=0.9, weight_decay=1e-5, eta=0.001
    )
    assert cfg.auto_scale_lr.base_batch_size == 2048  # 1.0 for 256 images
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.type, warm_up.start_factor, warm_up.end) == ('LinearLR', 0.01, 10)
    assert (cosine.type, cosine.begin, cosine.end) == ('CosineAnnealingLR', 10, 100)
    assert cosine.eta_min == 1e-6 and cfg.train_cfg.max_epochs == 100


def test_the_short_recipe_has_the_numbers_that_were_measured():
    cfg = load('short/soco_r50_fpn_short')
    loss = cfg.model.head.loss
    assert (loss.type, loss.temperature) == ('ObjectInfoNCELoss', 0.2)
    assert cfg.model.frozen_parts == ('backbone',)
    assert cfg.train_dataloader.batch_size == 32 and cfg.train_cfg.max_steps == 200
