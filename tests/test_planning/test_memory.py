"""Memory of a step, as it is planned and as a process holds it."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import small
import torch
from torch import nn

from soco_mm.engine.config import load_config
from soco_mm.engine.hooks import StepGuardHook
from soco_mm.planning.counting import StepCount
from soco_mm.planning.memory import Memory, measure_memory
from soco_mm.planning.step import build_model, count_step

MIB = 2**20
# Measures a process of its own: its peak can be reset, and large blocks go back to
# the system at once.
MEASURE = Path(__file__).parent / 'measure_peak.py'


def test_the_peak_of_a_step_is_that_of_a_process():
    if not Path('/proc/self/clear_refs').exists():
        pytest.skip('needs the peak of a process, which Linux can reset')
    done = subprocess.run(
        [sys.executable, MEASURE, small.SOCO, '32', '64'],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            'MALLOC_MMAP_THRESHOLD_': '65536',
            'OMP_NUM_THREADS': '1',
        },
    )
    assert done.returncode == 0, done.stderr
    planned, measured = map(float, done.stdout.split()[-2:])
    assert measured > 50 * MIB
    assert planned == pytest.approx(measured, rel=0.15)


def held(**given):
    usual = dict(
        weights=100 * MIB,
        target=90 * MIB,
        replay_copy=190 * MIB,
        optimizer=100 * MIB,
        gradients=100 * MIB,
        buckets=0,
        activations={},
        peak=1290 * MIB,
        batch_size=10,
        per_image=100 * MIB,
    )
    return Memory(**{**usual, **given})


def test_the_largest_batch_leaves_a_tenth_free():
    memory = held()
    # 290 MiB and 100 an image.
    assert memory.largest_batch(1) == int((0.9 * 1024 - 290) // 100)
    assert memory.largest_batch(10) == 88  # of (9216 - 290) / 100 = 89.3
    assert memory.largest_batch(0.1) == 0


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Linear(100, 10)
        self.frozen = nn.Linear(10, 10).requires_grad_(False)
        self.target_net = nn.Linear(100, 10, bias=False).requires_grad_(False)


@pytest.mark.parametrize(
    ('optimizer', 'states'), [(dict(type='LARS', lr=1.0), 1), (dict(type='AdamW'), 2)]
)
@pytest.mark.parametrize('accumulated', [1, 4])
def test_weights_target_state_and_gradients(optimizer, states, accumulated):
    cfg = load_config('soco_r50_fpn_100e')
    cfg.optim_wrapper.optimizer = optimizer
    cfg.optim_wrapper.accumulative_counts = accumulated
    steps = {20: StepCount(peak=2000), 10: StepCount(peak=1200)}
    found = measure_memory(cfg, Model(), steps)
    trained = 4 * (100 * 10 + 10)
    assert found.weights == trained + 4 * (10 * 10 + 10)
    assert found.target == 4 * 100 * 10
    assert found.gradients == trained
    assert found.optimizer == states * trained
    # Gradients stay from one iteration to the next if they are accumulated.
    kept = trained * (accumulated > 1)
    copied = trained + 4 * 100 * 10
    assert found.replay_copy == copied
    static = found.weights + found.target + copied + found.optimizer
    assert found.peak == 2000 + kept + static
    assert found.per_image == 80
    two = measure_memory(cfg, Model(), steps, gpus=2)
    assert found.buckets == 0 and two.buckets == trained
    assert two.peak == found.peak + trained


def test_the_copy_for_replay_is_that_of_the_hook():
    cfg = load_config(small.SOCO)
    cfg.model.frozen_parts = ['backbone']
    model = build_model(cfg)
    steps = {2: StepCount(peak=0), 1: StepCount(peak=0)}
    hook = StepGuardHook()
    hook.before_train(SimpleNamespace(model=model, iter=0, hooks=[]))
    kept = sum(value.numel() * value.element_size() for value in hook.kept)
    assert measure_memory(cfg, model, steps).replay_copy == kept > 0


def test_torch_is_not_asked_for_memory():
    """A batch that no machine has is planned as fast as a small one."""
    cfg = load_config(small.SOCO)
    cfg.optim_wrapper.type = 'OptimWrapper'
    model = build_model(cfg)
    large, little = (count_step(cfg, model, each).peak for each in (2**20, 2**10))
    assert large > 2**43  # 8 TiB
    assert large / little == pytest.approx(2**10, rel=0.05)
    assert all(value.device.type == 'cpu' for value in model.parameters())
    assert isinstance(next(model.parameters()), torch.Tensor)
