import pytest
from mmengine.config import Config

from soco_mm.engine.config import CONFIG_ROOT, RECIPES, recipe_names
from soco_mm.errors import UsageError
from soco_mm.planning.recipes import (
    list_recipes,
    read_measured,
    read_purpose,
    shown_source,
    trace_config,
)


@pytest.fixture(scope='module')
def recipes():
    return {each.name: each for each in list_recipes()}


def test_every_recipe_says_what_it_is_for(recipes):
    assert set(recipes) == {
        str(path.relative_to(RECIPES).with_suffix('')) for path in RECIPES.rglob('*.py')
    }
    for name, recipe in recipes.items():
        assert 15 < len(recipe.purpose) < 110, (name, recipe.purpose)
    # One who reads the list can tell them apart.
    top = [each.purpose for name, each in recipes.items() if '/' not in name]
    assert len(set(top)) == len(top)


def test_a_purpose_is_the_first_sentence_of_the_first_comment(tmp_path):
    path = tmp_path / 'a.py'
    for text, purpose in (
        ('# One, of v1.5\n# pixels. Two.\nx = 1\n# Three.\n', 'One, of v1.5 pixels'),
        ('# Whole\nx = 1', 'Whole'),
        ('x = 1\n# Late.', ''),
    ):
        path.write_text(text)
        assert read_purpose(path) == purpose


@pytest.mark.parametrize(
    'name, backbone, epochs, batch_size',
    [
        ('soco_r50_fpn_400e', 'ResNet-50 FPN', 400, 2048),
        ('soco_r50_c4_100e', 'ResNet-50 C4', 100, 2048),
        ('soco_swin-t_fpn_100e', 'SwinTransformer FPN', 100, 2048),
        ('soco_convnext-t_fpn_100e', 'ConvNeXt-tiny FPN', 100, 2048),
        ('ablations/table4-2_selective-search', 'ResNet-50', 100, 2048),
        ('ablations/table5b_batch-512', 'ResNet-50 FPN', 100, 512),
    ],
)
def test_figures_of_a_recipe_are_those_of_its_config(
    recipes, name, backbone, epochs, batch_size
):
    recipe = recipes[name]
    found = recipe.backbone, recipe.epochs, recipe.batch_size
    assert found == (backbone, epochs, batch_size)


def test_measurements_are_of_recipes_and_larger_ones_cost_more(recipes):
    measured = read_measured()
    assert set(measured['recipes']) <= set(recipe_names())
    assert recipes[measured['compared_with']].step_time == 1
    for small, large in (
        ('soco_r18_fpn_100e', 'soco_r50_fpn_100e'),
        ('soco_r50_fpn_100e', 'soco_r101_fpn_100e'),
        ('soco_r50_fpn_100e', 'soco-star_r50_fpn_100e'),
    ):
        assert recipes[small].step_time < recipes[large].step_time
        assert recipes[small].memory_gib < recipes[large].memory_gib


def test_each_value_comes_from_the_file_that_sets_it(tmp_path):
    (tmp_path / 'a.py').write_text(
        "model = dict(type='A', depth=50, gone=1)\n"
        'train_cfg = dict(max_epochs=3)\n'
        "param_scheduler = [dict(type='L', end=1), dict(type='C', end=3)]\n"
        "name = 'variable'\n"
    )
    (tmp_path / 'b.py').write_text("optim_wrapper = dict(type='O')\n")
    (tmp_path / 'c.py').write_text(
        "_base_ = ['a.py', 'b.py']\nmodel = dict(depth=18, width=(1, 2))\n"
    )
    (tmp_path / 'd.py').write_text(
        "_base_ = './c.py'\n"
        'model = dict(_delete_=True, depth=18, new=[4])\n'
        'param_scheduler = _base_.param_scheduler\n'
        'param_scheduler[1].update(end=9)\n'
    )
    found = {
        each.key: (each.value, each.source.name)
        for each in trace_config(tmp_path / 'd.py')
    }
    assert found == {
        'model.depth': (18, 'c.py'),
        'model.new': ([4], 'd.py'),
        'train_cfg.max_epochs': (3, 'a.py'),
        'param_scheduler.0.type': ('L', 'a.py'),
        'param_scheduler.0.end': (1, 'a.py'),
        'param_scheduler.1.type': ('C', 'a.py'),
        'param_scheduler.1.end': (9, 'd.py'),
        'optim_wrapper.type': ('O', 'b.py'),
    }
    assert [each.key for each in trace_config(tmp_path / 'd.py', 'model')] == [
        'model.depth',
        'model.new',
    ]


def test_traced_values_are_those_of_the_config():
    cfg = Config.fromfile(RECIPES / 'soco_r18_fpn_quick.py')
    settings = trace_config('soco_r18_fpn_quick')
    for each in settings:
        node = cfg
        for part in each.key.split('.'):
            node = node[int(part) if part.isdigit() else part]
        assert node == each.value
    sources = {each.key: shown_source(each.source) for each in settings}
    assert sources['optim_wrapper.optimizer.lr'] == 'configs/soco/soco_r18_fpn_quick.py'
    assert sources['model.backbone.depth'] == 'configs/soco/soco_r18_fpn_100e.py'
    assert sources['model.neck.type'] == 'configs/_base_/models/soco_r50_fpn.py'


def test_values_of_another_library_name_it():
    path = CONFIG_ROOT / 'benchmarks/mmdetection/coco/mask-rcnn_r50_fpn_1x_coco.py'
    sources = {each.key: shown_source(each.source) for each in trace_config(path)}
    assert sources['model.neck.type'] == 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'
    assert not any('_scope_' in key for key in sources)


def test_keys_that_a_config_does_not_set_are_refused():
    for key, words in (
        ('optim_wrapper.optimizer.lrr', r'sets no .*mean optim_wrapper.optimizer.lr\?'),
        ('trian_cfg', r'does not exist.*mean train_cfg\?'),
        ('train_pipeline', 'sets no train_pipeline that a training reads'),
    ):
        with pytest.raises(UsageError, match=words):
            trace_config('soco_r18_fpn_quick', key)
