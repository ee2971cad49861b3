"""The file of a training's health, and that watching changes nothing."""

import json
import random

import numpy as np
import pytest
import small
import torch
from mmengine.registry import init_default_scope

from soco_mm.engine.health import read_health
from soco_mm.engine.training import train_model
from soco_mm.models.utils.health_figures import movement
from soco_mm.registry import MODELS


@pytest.fixture
def cfg(demo_images, store):
    return small.two_view_training(store, demo_images)


def train(cfg, out, watched=True, **options):
    cfg = cfg.copy()
    cfg.visualizer.save_dir = str(out)
    if not watched:
        cfg.custom_hooks = [dict(type='TargetUpdateHook')]
    return torch.load(train_model(cfg, out, **options), weights_only=True)


def next_random_numbers():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_watching_changes_no_loss_no_weight_and_no_random_number(cfg, tmp_path):
    runs = []
    for name, watched in (('plain', False), ('watched', True)):
        state = train(cfg, tmp_path / name, watched)['state_dict']
        numbers = next_random_numbers()
        lines = (tmp_path / name / 'vis_data/scalars.json').read_text().splitlines()
        runs.append((state, numbers, [json.loads(line)['loss'] for line in lines]))
    (plain, *numbers), (watched, *same) = runs
    assert numbers == same and len(numbers[1]) == 4
    assert all(torch.equal(watched[name], value) for name, value in plain.items())
    assert not (tmp_path / 'plain/health.json').exists()


def test_each_row_has_all_figures_and_none_is_wrong(cfg, tmp_path):
    cfg.log_processor.window_size = 1  # no means
    train(cfg, tmp_path)
    found = json.loads((tmp_path / 'health.json').read_text())
    assert found['version'] == 1 and found['interval'] == 1
    assert [row['iter'] for row in found['rows']] == [1, 2, 3, 4]
    logged = [
        json.loads(line)
        for line in (tmp_path / 'vis_data/scalars.json').read_text().splitlines()
    ]
    for row, line in zip(found['rows'], logged):
        assert row['loss'] == pytest.approx(line['loss'], abs=1e-6)
        over = line['loss'] - line['loss_floor']
        assert row['loss_over_floor'] == pytest.approx(over, abs=1e-5)
        assert row['learning_rate'] == pytest.approx(line['lr'])
        assert 0 <= row['masked_share'] < 1
        assert sum(row['boxes_by_level'].values()) == pytest.approx(1)
        assert row['skipped_share'] == 0
    first, *rest = found['rows']
    assert first['waiting_share'] is None  # workers start
    assert all(0 < row['waiting_share'] < 1 for row in rest)
    moved = [row['movement_weights']['backbone'] for row in found['rows']]
    assert 0 < moved[0] < moved[-1]
    momentum = [row['target_momentum'] for row in found['rows']]
    k = np.arange(2, 6)
    expected = 1 - 0.01 * (np.cos(np.pi * k / 4) + 1) / 2
    assert momentum == pytest.approx(expected, abs=1e-6)


def test_a_resumed_run_keeps_rows_and_the_weights_that_it_started_from(cfg, tmp_path):
    cfg.train_cfg.max_epochs = 1
    first = train(cfg, tmp_path)['message_hub']['runtime_info']['health_start']
    rows = read_health(tmp_path)['rows']
    cfg.train_cfg.max_epochs = 2
    second = train(cfg, tmp_path, resume=True)
    assert torch.equal(second['message_hub']['runtime_info']['health_start'], first)
    found = read_health(tmp_path)['rows']
    assert [row['iter'] for row in found] == [1, 2, 3, 4]
    assert found[:2] == rows
    init_default_scope('soco_mm')
    model = MODELS.build(cfg.model)
    model.load_state_dict(second['state_dict'])
    moved = movement(model, first)
    assert found[-1]['movement_biases'] == pytest.approx(moved['movement_biases'])
    # Without the file only what follows is known.
    (tmp_path / 'health.json').unlink()
    cfg.train_cfg.max_epochs = 3
    train(cfg, tmp_path, resume=True)
    assert [row['iter'] for row in read_health(tmp_path)['rows']] == [5, 6]


def test_tensorboard_gets_the_figures(cfg, tmp_path):
    accumulator = pytest.importorskip(
        'tensorboard.backend.event_processing.event_accumulator'
    )
    cfg.visualizer.vis_backends.append(dict(type='TensorboardVisBackend'))
    train(cfg, tmp_path)
    (events,) = tmp_path.glob('**/events.out.tfevents*')
    read = accumulator.EventAccumulator(str(events)).Reload()
    points = read.Scalars('health/effective_rank_head')
    rows = read_health(tmp_path)['rows']
    assert [point.step for point in points] == [1, 2, 3, 4]
    assert [point.value for point in points] == pytest.approx(
        [row['effective_rank_head'] for row in rows]
    )
    assert len(read.Scalars('health/movement_weights/neck')) == 4
