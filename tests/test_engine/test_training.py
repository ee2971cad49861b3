"""What a training refuses, and what it says before it starts."""

import pytest
import small
from mmengine.config import Config
from mmengine.hooks import CheckpointHook

from soco_mm.engine.config import load_config
from soco_mm.engine.schedules import describe_mismatch
from soco_mm.engine.training import train_model
from soco_mm.utils import UsageError


def test_a_target_network_that_nothing_updates_is_refused(store, demo_images, tmp_path):
    cfg = small.training(store, demo_images, {'train_cfg.max_epochs': 1})
    cfg.custom_hooks = [dict(type='TrainingHealthHook')]
    with pytest.raises(UsageError, match='has no TargetUpdateHook'):
        train_model(cfg, tmp_path)
    assert not (tmp_path / 'checkpoints').exists()


def test_checkpointing_that_takes_all_gradients_is_refused(
    store, demo_images, tmp_path
):
    cfg = small.training(store, demo_images, {'train_cfg.max_epochs': 1})
    cfg.activation_checkpointing = ['backbone']
    with pytest.raises(UsageError, match=r'backbone gets no gradients.*with_cp'):
        train_model(cfg, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('given', ['mmengine.CheckpointHook', CheckpointHook, None])
def test_checkpoints_are_those_that_can_be_resumed(
    store, demo_images, tmp_path, given, capsys
):
    cfg = small.training(store, demo_images, {'train_cfg.max_epochs': 1})
    if given:
        cfg.default_hooks.checkpoint = dict(
            type=given, interval=1, backend_args=dict(backend='local')
        )
    else:
        del cfg.default_hooks['checkpoint']
    path = train_model(cfg, tmp_path, quiet=True)
    assert path == tmp_path / 'checkpoints/epoch_1.pth'
    assert 'cannot be resumed from those of CheckpointHook' in capsys.readouterr().out


def test_a_schedule_of_another_length_is_said(store, demo_images, tmp_path, capsys):
    cfg = small.training(store, demo_images, {'train_cfg.max_epochs': 1})
    end = cfg.param_scheduler[1].end
    train_model(cfg, tmp_path, quiet=True)
    said = ''.join(capsys.readouterr())
    assert 'train_cfg.max_epochs is 1, but the schedule of' in said
    assert f'is made for {end}: set begin' in said


@pytest.mark.parametrize(
    'name', ['soco_r50_fpn_100e', 'soco_r50_fpn_400e', 'short/soco_r50_fpn_short']
)
def test_the_schedules_of_recipes_have_their_length(name):
    cfg = load_config(name)
    assert describe_mismatch(cfg) is None
    for key in cfg.train_cfg.keys() & {'max_epochs', 'max_steps'}:
        cfg.train_cfg[key] += 1
    assert 'is made for' in describe_mismatch(cfg)


@pytest.mark.parametrize(
    'schedules',
    [
        [],
        [dict(type='ConstantLR', factor=1.0)],
        [dict(type='LinearLR', end=2), dict(type='CosineAnnealingLR', T_max=8)],
        dict(type='CosineAnnealingLR', by_epoch=False, end=70),
    ],
)
def test_schedules_without_an_end_or_in_other_units_have_no_length(schedules):
    cfg = Config(dict(train_cfg=dict(max_epochs=10), param_scheduler=schedules))
    assert describe_mismatch(cfg) is None
