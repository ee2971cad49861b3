"""Trainings whose length is given in steps, and of which parts stay as they are."""

import json

import pytest
import small
import torch
from mmengine.config import Config

from soco_mm.apis.pretrain import pretrain
from soco_mm.cli import main
from soco_mm.engine.config import load_config
from soco_mm.engine.initial_weights import check_frozen
from soco_mm.engine.pretraining import frozen_parts
from soco_mm.engine.schedules import set_epochs
from soco_mm.engine.training import train_model
from soco_mm.errors import UsageError
from soco_mm.registry import MODELS

SHORT = 'short/soco_r50_fpn_short'
ITERATIONS = 2  # of the five photos


@pytest.fixture
def recipe(tmp_path):
    """A narrow recipe of three steps that starts from weights of its own model."""
    model = MODELS.build(load_config(small.SOCO).model)
    model.init_weights()
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'init.pth')
    path = tmp_path / 'short.py'
    path.write_text(
        f'_base_ = {str(small.SOCO)!r}\n'
        "train_cfg = dict(_delete_=True, type='StepTrainLoop', max_steps=3)\n"
        "param_scheduler = [dict(type='LinearLR', start_factor=0.01, by_epoch=False, "
        "end=2), dict(type='CosineAnnealingLR', by_epoch=False, begin=2, end=3, T_max=1)]\n"
        "optim_wrapper = dict(constructor='OnlineOptimWrapperConstructor', "
        "optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05), "
        'clip_grad=dict(max_norm=1.0), '
        'paramwise_cfg=dict(custom_keys=dict(backbone=dict(lr_mult=0.1))))\n'
        "model = dict(frozen_parts=('backbone',))\n"
        f'load_from = {str(tmp_path / "init.pth")!r}\n'
    )
    return path


def weights(path):
    return torch.load(path, weights_only=True)['state_dict']


def kept(before, after, part):
    names = [name for name in before if name.startswith(part)]
    assert names
    return all(torch.equal(before[name], after[name]) for name in names)


def test_a_short_pretraining_ends_after_its_steps_and_keeps_the_backbone(
    recipe, demo_images, store, tmp_path, capsys
):
    out = tmp_path / 'run'
    made = pretrain(
        demo_images,
        out,
        config=recipe,
        batch_size=2,
        workers=0,
        proposals=store,
        detector=small.MASK_RCNN,
    )
    # Of the second epoch one iteration.
    assert made.checkpoint.name == 'iter_3.pth'
    said = capsys.readouterr().out
    assert '3 steps; frozen: backbone' in said and 'step 3/3' in said
    before, after = weights(tmp_path / 'init.pth'), weights(made.checkpoint)
    assert kept(before, after, 'backbone.')
    assert not kept(before, after, 'neck.lateral_convs.0.conv')
    assert not any(name.startswith('target_net.module.backbone') for name in after)
    exported = weights(made.weights)
    assert kept(before, exported, 'backbone.')
    # The run goes on, as any other.
    assert pretrain(None, out, workers=0, resume=True).checkpoint == made.checkpoint
    more = pretrain(None, out, epochs=3, workers=0, resume=True)
    assert more.checkpoint.name == 'epoch_3.pth'
    assert '3 of 6 iterations are done' in capsys.readouterr().out
    assert not made.checkpoint.exists()  # superseded
    steps = [json.loads(line) for line in more.scalars.read_text().splitlines()]
    assert max(row['step'] for row in steps) == 3 * ITERATIONS


@pytest.mark.parametrize('accumulated', [1, 2])
def test_a_loop_of_steps_stops_after_exactly_so_many(
    recipe, demo_images, store, tmp_path, accumulated
):
    cfg, steps = Config.fromfile(recipe), 3
    cfg.optim_wrapper.accumulative_counts = accumulated
    cfg.train_dataloader.dataset.update(
        data_root=str(demo_images), proposals=str(store)
    )
    cfg.train_dataloader.update(
        batch_size=2 // accumulated, num_workers=0, persistent_workers=False
    )
    cfg.default_hooks.logger.interval = 1
    last = train_model(cfg, tmp_path / 'run')
    checkpoint = torch.load(last, weights_only=True)
    assert checkpoint['meta']['iter'] == steps * accumulated
    assert checkpoint['state_dict']['target_net.steps'] == steps
    # The schedules have reached their end.
    warm_up, cosine = checkpoint['param_schedulers']
    assert warm_up['_global_step'] == cosine['_global_step'] == steps
    # An epoch has 2 steps of 2 images.
    assert last.name == f'iter_{steps * accumulated}.pth'
    assert checkpoint['meta']['epoch'] == 1
    (scalars,) = (tmp_path / 'run').glob('*/vis_data/scalars.json')
    rows = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert rows[-1]['step'] == steps * accumulated


def test_parts_to_train_are_chosen_on_the_command_line(
    recipe, demo_images, store, tmp_path
):
    command = ['pretrain', demo_images, '--out', tmp_path / 'run', '--config', recipe]
    command += ['--proposals', store, '--workers', 0, '--batch-size', 2]
    command += ['--detector', small.MASK_RCNN]
    main([*map(str, command), '--train', 'neck', '--epochs', '1'])
    before = weights(tmp_path / 'init.pth')
    after = weights(tmp_path / 'run/checkpoints/epoch_1.pth')
    assert kept(before, after, 'backbone.') and kept(before, after, 'roi_head.')
    assert not kept(before, after, 'neck.lateral_convs.0.conv')
    settings = json.loads((tmp_path / 'run/job.json').read_text())['settings']
    assert settings['model']['frozen_parts'] == ['backbone', 'roi_head']


def test_names_of_parts_that_do_not_exist_are_refused():
    model = load_config(small.SOCO).model
    assert frozen_parts(model, ['backbone', 'neck', 'head']) == ()
    with pytest.raises(UsageError, match="'necks'.*Did you mean neck"):
        frozen_parts(model, 'necks')
    c4 = load_config('soco_r50_c4_100e').model
    assert frozen_parts(c4, 'head') == ('backbone',)
    with pytest.raises(UsageError, match="no part 'neck'"):
        frozen_parts(c4, 'neck,head')


def test_random_weights_are_not_kept_as_they_are():
    cfg = load_config(SHORT)
    with pytest.raises(UsageError, match='The backbone is frozen .* random weights'):
        check_frozen(cfg)
    cfg.load_from = 'weights.pth'
    check_frozen(cfg)
    cfg.load_from = None
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='weights.pth')
    check_frozen(cfg)
    check_frozen(load_config(small.SOCO))


def test_epochs_set_the_length_of_a_short_recipe_instead_of_steps():
    cfg = load_config(SHORT)
    set_epochs(cfg, epochs=50, iterations=6)
    assert cfg.train_cfg == dict(type='EpochBasedTrainLoop', max_epochs=50)
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.begin, warm_up.end) == (0, 20)
    assert (cosine.begin, cosine.end, cosine.T_max) == (20, 300, 280)
    set_epochs(cfg, epochs=1, iterations=6)
    warm_up, cosine = cfg.param_scheduler
    assert (warm_up.end, cosine.end, cosine.T_max) == (2, 6, 4)


def test_annotations_that_do_not_exist_are_refused_at_once(
    demo_images, store, tmp_path
):
    # Existing proposals are not fitted to them, so nothing else would read them yet.
    out = tmp_path / 'run'
    with pytest.raises(UsageError, match='no annotations .*none.json .--ann'):
        pretrain(demo_images, out, ann=tmp_path / 'none.json', proposals=store)
    assert not out.exists()
