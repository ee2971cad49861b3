"""Trainings that are killed at any iteration and go on, in any layout."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT
from mmengine.hooks import Hook

from soco_mm.datasets.sampler import EpochSampler, sample_rng
from soco_mm.engine.checkpoint_files import (
    EPOCH,
    ITERATION,
    latest_checkpoint,
    numbered,
)
from soco_mm.engine.hooks import checkpoint_hook
from soco_mm.engine.hooks.checkpoint_hook import CheckpointTimes
from soco_mm.engine.numbering import find_scalars
from soco_mm.engine.training import train_model
from soco_mm.registry import HOOKS
from soco_mm.runs.record import read_scalars
from soco_mm.utils import SoCoError

sys.path.insert(0, str(ROOT / 'tools/analysis_tools'))
import kill_training

STEPS = 20
PER_EPOCH = kill_training.IMAGES // kill_training.BATCH  # 13 iterations, not even


class KillAt(Hook):
    """SIGKILL in an iteration, before its checkpoint and after its gradients."""

    priority = 'LOW'

    def __init__(self, iteration):
        self.iteration = iteration

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), signal.SIGKILL)


class InterruptAt(KillAt):
    """Ctrl-C in an iteration."""

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter == self.iteration:
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def hooks(monkeypatch):
    monkeypatch.setitem(HOOKS._module_dict, 'KillAt', KillAt)
    monkeypatch.setitem(HOOKS._module_dict, 'InterruptAt', InterruptAt)


def config(accumulated=1, norm='batch', every=1e-6, kill_at=None, batch=None):
    """That of the script; a checkpoint after every step."""
    cfg = kill_training.make_config(STEPS, accumulated, 0.0, norm)
    cfg.default_hooks.checkpoint.every = every
    if batch:
        cfg.train_dataloader.batch_size = batch
    if kill_at is not None:
        cfg.custom_hooks = [*cfg.custom_hooks, dict(type='KillAt', iteration=kill_at)]
    return cfg


def run(folder, processes=1, **kwargs):
    """Train in processes of their own; whether they were killed."""
    ids = kill_training.start(config(**kwargs), folder, processes)
    try:
        return kill_training.wait(ids, 60)
    except RuntimeError:  # that process, or one that lost it
        if kwargs.get('kill_at') is None:
            raise
        left = [each for each in ids if Path(f'/proc/{each}').exists()]
        for each in left:
            os.kill(each, signal.SIGKILL)
            os.waitpid(each, 0)
        return True


@pytest.mark.slow
@pytest.mark.parametrize('processes', [1, 2])
@pytest.mark.parametrize('accumulated', [1, 2])
def test_a_kill_at_any_iteration_changes_no_byte(tmp_path, accumulated, processes):
    """Also between the iterations of a step, and at both ends of an epoch."""
    layout = dict(accumulated=accumulated, processes=processes)
    per_epoch = 52 // (4 * processes * accumulated) * accumulated
    for iteration in sorted({1, 2, per_epoch - 1, per_epoch, STEPS - 1}):
        assert run(tmp_path / 'run', kill_at=iteration, **layout)
        # Of the last whole step.
        whole = iteration // accumulated * accumulated
        last = latest_checkpoint(tmp_path / 'run')
        assert (last is not None) == (whole > 0)
        if whole:
            assert torch.load(last, weights_only=True)['meta']['iter'] == whole
    assert not run(tmp_path / 'run', **layout)
    assert not run(tmp_path / 'whole', **layout)
    found = kill_training.compare(
        *(latest_checkpoint(tmp_path / name) for name in ('run', 'whole'))
    )
    assert found['differing_bytes'] == 0
    assert found['tensors'] > 20 and found['losses'] == STEPS * accumulated


def test_random_kills_change_no_byte():
    found = kill_training.kill(kills=3, steps=12, seconds=0.02, most=1.0)
    assert found['kills'] == 3 and found['differing_bytes'] == 0
    assert found['tensors'] > 20


def test_a_drawn_seed_is_that_of_the_whole_training(tmp_path):
    """The order of the images and their random numbers follow from it too."""

    def train(name, seed, **kwargs):
        cfg = config()
        cfg.randomness.seed = seed
        cfg.train_dataloader.dataset.pop('seed', None)
        cfg.custom_hooks = [*cfg.custom_hooks, *kwargs.pop('hooks', ())]
        return train_model(cfg, tmp_path / name, **kwargs)

    middle = PER_EPOCH // 2
    with pytest.raises(KeyboardInterrupt):
        train('run', None, hooks=[dict(type='InterruptAt', iteration=middle)])
    before = torch.load(latest_checkpoint(tmp_path / 'run'), weights_only=True)
    assert before['meta']['iter'] == middle
    seed = before['meta']['seed']
    resumed = train('run', None, resume=True)
    found = kill_training.compare(resumed, train('whole', seed))
    assert found['differing_bytes'] == 0 and found['losses'] == STEPS
    other = train('other', None)
    assert torch.load(other, weights_only=True)['meta']['seed'] != seed
    assert kill_training.compare(resumed, other)['differing_bytes'] > 0


def test_the_comparison_sees_a_byte(tmp_path):
    last = train_model(config(), tmp_path / 'run')
    checkpoint = torch.load(last, weights_only=True)
    value = checkpoint['state_dict']['net.0.weight'].view(-1).view(torch.uint8)
    value[3] ^= 1
    torch.save(checkpoint, tmp_path / 'other.pth')
    assert kill_training.compare(last, tmp_path / 'other.pth')['differing_bytes'] == 1


# Processes, images per process and iteration, iterations per step: 8 images a step.
LAYOUTS = [(1, 8, 1), (2, 4, 1), (4, 2, 1), (1, 4, 2), (2, 2, 2)]


def steps_in(layout, images, epochs):
    """What each step sees: images, each with the state of its random numbers."""
    processes, batch, accumulated = layout
    per_process = []
    for rank in range(processes):
        sampler = EpochSampler(range(images), seed=3)
        sampler.rank, sampler.world_size = rank, processes
        sampler.keep_whole_steps(batch * accumulated)
        indices = []
        for epoch in range(epochs):
            sampler.set_epoch(epoch)
            indices += list(sampler)
            assert len(indices) == (epoch + 1) * len(sampler)
        per_process.append(indices)
    size = batch * accumulated
    steps = []
    for first in range(0, len(per_process[0]), size):
        found = [each[first + i] for each in per_process for i in range(size)]
        steps.append(
            [
                (divmod(i, images), sample_rng(0, *divmod(i, images)).random())
                for i in sorted(found)
            ]
        )
    return steps


@pytest.mark.parametrize('images', [48, 50, 55])
def test_each_step_takes_the_same_images_in_any_layout(images):
    """55 images would fill another step if they were rounded up to processes."""
    one, *others = [steps_in(layout, images, epochs=3) for layout in LAYOUTS]
    assert len(one) == 3 * (images // 8) and {len(step) for step in one} == {8}
    assert one[0] != one[1]
    for other in others:
        assert other == one


def losses_of(folder):
    checkpoint = torch.load(latest_checkpoint(folder), weights_only=True)
    return (
        checkpoint['message_hub']['log_scalars']['train/loss'][0],
        checkpoint['state_dict'],
    )


@pytest.mark.slow
@pytest.mark.parametrize('then', [(1, 8, 1), (1, 4, 2), (4, 2, 1)])
def test_two_processes_go_on_in_another_layout(tmp_path, then):
    """With group norm, which does not see how a step is divided."""
    assert run(tmp_path / 'run', processes=2, norm='group', kill_at=9)
    processes, batch, accumulated = then
    assert not run(
        tmp_path / 'run',
        processes=processes,
        batch=batch,
        accumulated=accumulated,
        norm='group',
    )
    assert not run(tmp_path / 'whole', batch=8, norm='group')
    (losses, weights), (whole, expected) = map(
        losses_of, (tmp_path / 'run', tmp_path / 'whole')
    )
    after = torch.tensor(losses[9:]).view(-1, accumulated).mean(1)
    assert len(after) == STEPS - 9
    if processes == 1:  # of several, this is the loss of the first
        assert after.tolist() == pytest.approx(whole[9:], abs=1e-6)
    for name, value in expected.items():
        assert torch.allclose(weights[name], value, atol=1e-6), name


def test_another_batch_goes_on_at_the_same_place_of_an_epoch(tmp_path):
    run(tmp_path, kill_at=20 - 1, norm='group')  # 19 steps of 4: an epoch and 6 of 13
    cfg = config(norm='group', batch=8)
    cfg.train_cfg.max_steps, cfg.param_scheduler[1].end = 12, 12
    checkpoint = torch.load(train_model(cfg, tmp_path, resume=True), weights_only=True)
    losses = checkpoint['message_hub']['log_scalars']['train/loss'][0]
    # 6 steps of 8 images are an epoch; 6 of 13 are 2 of 6.
    assert len(losses) == 19 + 12 - (6 + 2)
    assert checkpoint['state_dict']['target_net.steps'] == 12
    # What was written before counts in the new iterations too.
    first, second = json.loads((tmp_path / 'timeline.json').read_text())['processes']
    assert (first['last'], second['first']) == (8, 8)
    steps = [each['step'] for each in read_scalars(find_scalars(tmp_path))[0]]
    assert steps == [6, 9, 12]  # the first was 13 of 4 images


def test_steps_that_are_counted_stay_as_large(tmp_path):
    """Unless their number changes too, as above."""
    run(tmp_path, kill_at=3)
    with pytest.raises(SoCoError, match='steps of 4 images, not 8. Resume it with'):
        train_model(config(batch=8), tmp_path, resume=True)
    assert not (tmp_path / 'numbering.json').exists()


def test_what_is_done_already_is_not_resumed_as_a_shorter_training(tmp_path):
    train_model(config(), tmp_path)
    cfg = config()
    cfg.train_cfg.max_steps = 19
    with pytest.raises(SoCoError, match='from iteration 20, .* training has 19'):
        train_model(cfg, tmp_path, resume=True)
    # Nor is anything renumbered for what is refused.
    kept = (tmp_path / 'timeline.json').read_bytes()
    cfg = config(batch=8)
    cfg.train_cfg.max_steps = 2
    with pytest.raises(SoCoError, match='Set a larger number'):
        train_model(cfg, tmp_path, resume=True)
    assert (tmp_path / 'timeline.json').read_bytes() == kept
    assert not (tmp_path / 'numbering.json').exists()


def test_the_next_checkpoint_replaces_one_within_an_epoch(tmp_path):
    last = train_model(config(), tmp_path)
    assert last.name == f'iter_{STEPS}.pth'
    names = {path.name for path in last.parent.iterdir()}
    assert names == {'epoch_1.pth', last.name}


def test_writing_within_an_epoch_is_no_waiting_for_data(tmp_path, monkeypatch):
    clock = iter(range(0, 100_000, 1000))  # 1000 s between two looks at it
    monkeypatch.setattr(checkpoint_hook.time, 'monotonic', lambda: next(clock))
    waited = []

    class Note(Hook):
        def before_train_iter(self, runner, *args, **kwargs):
            waited.append(runner.message_hub.get_scalar('train/data_time').current())

    monkeypatch.setitem(HOOKS._module_dict, 'NoteWaits', Note)
    cfg = config(every=None)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=5)
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='NoteWaits', priority='LOWEST')]
    train_model(cfg, tmp_path)
    # What a checkpoint took is taken from the time since the last iteration.
    assert [iteration for iteration, each in enumerate(waited) if each < 0] == [
        5,
        10,
        15,
    ]


@pytest.mark.parametrize('every', [None, '1h'])
def test_without_time_there_are_only_epochs_and_the_end(tmp_path, every):
    written = []

    class Note(Hook):
        def before_save_checkpoint(self, runner, checkpoint):
            written.append(checkpoint['meta']['iter'])

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(HOOKS._module_dict, 'NoteSaves', Note)
        cfg = config(every=every)
        cfg.custom_hooks = [*cfg.custom_hooks, dict(type='NoteSaves')]
        train_model(cfg, tmp_path)
    assert written == [PER_EPOCH, STEPS]


def test_checkpoints_by_iteration_wait_for_the_end_of_a_step(tmp_path):
    cfg = config(accumulated=2)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=5, max_keep_ckpts=-1)
    train_model(cfg, tmp_path)
    assert sorted(numbered(tmp_path, ITERATION)) == [6, 10, 16, 20, 26, 30, 36, 40]
    assert not numbered(tmp_path, EPOCH)


def save(folder, name, epoch, done, iterations=10):
    path = folder / 'checkpoints' / name
    path.parent.mkdir(exist_ok=True)
    meta = dict(epoch=epoch, iter=done, soco_mm_training=dict(iterations=iterations))
    torch.save(dict(meta=meta), path)
    return path


def test_the_checkpoint_that_went_furthest_is_the_latest(tmp_path):
    """A kill between writing and removing leaves one that is superseded."""
    assert latest_checkpoint(tmp_path) is None
    first = save(tmp_path, 'iter_8.pth', 0, 8)
    assert latest_checkpoint(tmp_path) == first
    epoch = save(tmp_path, 'epoch_1.pth', 1, 10)
    assert latest_checkpoint(tmp_path) == epoch
    within = save(tmp_path, 'iter_13.pth', 1, 13)
    assert latest_checkpoint(tmp_path) == within
    # Of two processes: fewer iterations, but further.
    further = save(tmp_path, 'iter_7.pth', 1, 7, iterations=5)
    assert latest_checkpoint(tmp_path) == further
    tenth = save(tmp_path, 'epoch_10.pth', 10, 100)
    assert latest_checkpoint(tmp_path) == tenth
    further.write_bytes(b'half')  # is named when it is read
    assert latest_checkpoint(tmp_path) == further


def test_writing_takes_two_percent_of_the_time_at_most(monkeypatch):
    now, said = [0.0], []
    monkeypatch.setattr(checkpoint_hook.time, 'monotonic', lambda: now[0])
    monkeypatch.setattr(checkpoint_hook, 'tell', said.append)
    times = CheckpointTimes(600)
    assert not times.due()
    now[0] = 600
    assert times.due()
    times.written(12)  # 2 % of 600
    assert not times.due() and not said
    now[0] = 1200
    times.written(30)
    assert len(said) == 1
    assert (
        'takes 30.0 s. One is written every 25 min instead of every 10 min' in said[0]
    )
    now[0] = 1200 + 1499
    assert not times.due()
    now[0] = 1200 + 1500
    assert times.due()
    times.written(36)
    assert times.every == 1800 and len(said) == 1


@pytest.mark.parametrize(
    ('restarts', 'given', 'passed'),
    [('', [], 0), ('0', [], 0), ('1', [], 1), ('2', ['--resume'], 1)],
)
def test_slurm_resumes_what_it_starts_again(tmp_path, restarts, given, passed):
    import subprocess

    srun = tmp_path / 'srun'
    srun.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n')
    srun.chmod(0o755)
    env = dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}')
    if restarts:
        env['SLURM_RESTART_COUNT'] = restarts
    command = ['bash', ROOT / 'tools/slurm_train.sh', 'gpu', 'name', 'c.py', 'out']
    done = subprocess.run(
        [*command, '--amp', *given], env=env, capture_output=True, text=True, check=True
    )
    words = done.stdout.splitlines()
    assert words.count('--resume') == passed and '--amp' in words
