"""Where the time of a training went."""

import json

import pytest
import small
import torch
from mmengine.hooks import Hook

from soco_mm.engine.config import load_config
from soco_mm.engine.hooks import TimelineHook
from soco_mm.engine.hooks.checkpoint_hook import AtomicLocalBackend
from soco_mm.engine.timeline import STATES, read_timeline, share_time
from soco_mm.engine.training import train_model
from soco_mm.registry import HOOKS
from soco_mm.utils import atomic_write


class Clock:
    """A clock that only the hook below advances."""

    now = 1000.0

    def time(self):
        return self.now

    monotonic = time


CLOCK = Clock()
# Seconds that pass in each place.
STARTING, STEP, WAITING, CHECKPOINT, EPOCH = 3, 7, 11, 13, 17


@HOOKS.register_module()
class TimePasses(Hook):
    """Advances the clock, and stops where it is told to."""

    priority = 'HIGHEST'

    def __init__(self, stop=None):
        self.stop = stop

    def before_train(self, runner):
        CLOCK.now += STARTING

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.stop:
            raise KeyboardInterrupt
        CLOCK.now += WAITING  # as if the batch had come only now

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        CLOCK.now += STEP

    def after_train_epoch(self, runner):
        CLOCK.now += EPOCH


@pytest.fixture
def cfg(demo_images, store):
    cfg = load_config(small.SOCO)
    loader = cfg.train_dataloader
    loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    loader.dataset.update(data_root=str(demo_images), proposals=str(store))
    loader.dataset.pipeline[1].views = [dict(size=64), dict(size=64, source=0)]
    cfg.train_cfg.max_epochs = 2
    cfg.param_scheduler = []
    return cfg


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr('soco_mm.engine.hooks.timeline_hook.time', CLOCK)
    monkeypatch.setattr(AtomicLocalBackend, 'put', slow_put)


def slow_put(self, obj, filepath):
    CLOCK.now += CHECKPOINT
    atomic_write(filepath, obj)


def train(cfg, out, stop=None, **options):
    cfg = cfg.copy()
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='TimePasses', stop=stop)]
    train_model(cfg, out, **options)


def test_each_second_of_a_training_is_in_the_state_that_it_was_in(cfg, tmp_path, clock):
    begun = CLOCK.now
    train(cfg, tmp_path)
    (one,) = read_timeline(tmp_path)
    assert one.pop('seconds') == dict(
        starting=STARTING,
        steps=4 * STEP,
        waiting=4 * WAITING,
        checkpoints=2 * CHECKPOINT,
        other=2 * EPOCH,
    )
    assert one == dict(start=begun, end=CLOCK.now, first=0, last=4, finished=True)


def test_steps_after_the_last_checkpoint_are_lost(cfg, tmp_path, clock, monkeypatch):
    monkeypatch.setattr(TimelineHook, 'INTERVAL', 0.0)
    with pytest.raises(KeyboardInterrupt):
        train(cfg, tmp_path, stop=3)  # one step after the checkpoint of epoch 1
    (stopped,) = read_timeline(tmp_path)
    assert (stopped['first'], stopped['last'], stopped['finished']) == (0, 3, False)
    CLOCK.now += 500
    train(cfg, tmp_path, resume=True)
    first, second = read_timeline(tmp_path)
    assert first == stopped
    assert (second['first'], second['last'], second['finished']) == (2, 4, True)
    shares = share_time([first, second])
    wall = second['end'] - first['start']
    assert shares == dict(
        steps=4 * STEP,  # of five
        lost=STEP,
        waiting=5 * WAITING,
        checkpoints=2 * CHECKPOINT,
        starting=2 * STARTING,
        other=2 * EPOCH,
        stopped=500,
        wall=wall,
        goodput=4 * STEP / wall,
    )


def test_a_run_that_has_finished_is_not_stopped(cfg, tmp_path, clock):
    train(cfg, tmp_path)
    once = read_timeline(tmp_path)
    CLOCK.now += 500
    train(cfg, tmp_path, resume=True)  # nothing is left to do
    assert read_timeline(tmp_path) == once
    cfg.train_cfg.max_epochs = 3
    train(cfg, tmp_path, resume=True)
    assert len(read_timeline(tmp_path)) == 2
    shares = share_time(read_timeline(tmp_path))
    assert (shares['stopped'], shares['lost'], shares['steps']) == (0, 0, 6 * STEP)


def test_what_a_checkpoint_holds_is_in_the_timeline(cfg, tmp_path, clock):
    """A process that goes on from it finds no steps that no one did."""
    with pytest.raises(KeyboardInterrupt):
        train(cfg, tmp_path, stop=2)
    (one,) = read_timeline(tmp_path)
    assert one['last'] == 2 and (tmp_path / 'checkpoints/epoch_1.pth').is_file()
    assert one['seconds']['checkpoints'] == CHECKPOINT


def test_the_timeline_changes_no_weight(cfg, tmp_path, monkeypatch):
    train(cfg, tmp_path / 'with')
    monkeypatch.setattr(
        'soco_mm.engine.training.TimelineHook', type('Nothing', (Hook,), {})
    )
    train(cfg, tmp_path / 'without')
    assert not (tmp_path / 'without/timeline.json').exists()
    ours, theirs = (
        torch.load(tmp_path / name / 'checkpoints/epoch_2.pth')['state_dict']
        for name in ('with', 'without')
    )
    assert all(torch.equal(ours[name], value) for name, value in theirs.items())


def test_a_damaged_timeline_counts_as_none(tmp_path):
    for text in ('', '{', '[]', '{"processes": 1}', '{"processes": [{"start": 1}]}'):
        (tmp_path / 'timeline.json').write_text(text)
        assert read_timeline(tmp_path) == []
    seconds = dict.fromkeys(STATES, 1)
    entry = dict(start=0, end=5, first=0, last=1, seconds=seconds)
    (tmp_path / 'timeline.json').write_text(json.dumps(dict(processes=[entry])))
    assert read_timeline(tmp_path) == [entry]
