"""Steps that are not finite: they are kept, and repeated by soco-mm replay."""

import math
from pathlib import Path

import pytest
import small
import torch
from commands import call
from mmengine.hooks import Hook
from torch import nn

from soco_mm.engine.hooks.step_guard_hook import StepGuardHook
from soco_mm.engine.runtime import unwrap_model
from soco_mm.engine.training import train_model
from soco_mm.errors import SoCoError
from soco_mm.registry import HOOKS
from soco_mm.runs.replay import Watch

BROKEN = 5  # the iteration, from 1; an epoch has two
CONV = 'backbone.layer2.0.conv1'


@HOOKS.register_module()
class BreakStepHook(Hook):
    """Put NaN into what a step uses, and keep what it should have been."""

    def __init__(self, what):
        self.what = what

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter + 1 != BROKEN:
            return
        model = unwrap_model(runner.model)
        BreakStepHook.batch = data_batch
        BreakStepHook.weights = {
            name: value.detach().clone() for name, value in model.named_parameters()
        }
        conv = model.get_submodule(CONV)
        if self.what == 'weight':
            conv.weight.data[0, 0, 0, 0] = math.nan
        elif self.what == 'overflow':
            conv.weight.data.fill_(3e38)
        elif self.what == 'gradient':
            conv.weight.register_hook(lambda gradient: gradient * math.nan)


def config(store, images, what=None):
    hooks = [dict(type='BreakStepHook', what=what)] if what else []
    return small.training(store, images, {'train_cfg.max_epochs': 4}, hooks)


def break_training(store, images, what, run):
    """A training that stops, and the step that it keeps."""
    with pytest.raises(SoCoError, match='not finite') as stop:
        train_model(config(store, images, what), run)
    (path,) = (run / 'not_finite').iterdir()
    assert f'Find out where it begins: soco-mm replay {path}' in str(stop.value)
    return path, torch.load(path, weights_only=True)


def test_a_step_with_a_broken_weight_is_kept_and_found(
    store, demo_images, tmp_path, capsys
):
    path, step = break_training(store, demo_images, 'weight', tmp_path / 'run')
    # The step before the one that met the weight; it is finite, and the weight not.
    assert path.name == f'iter_{BROKEN - 1}.pth'
    assert step['broken'] == [f'{CONV}.weight']
    done = call(capsys, 'replay', path)
    assert done.returncode == 1
    assert f'First not finite: {CONV}.weight, after the step' in done.stdout


def test_a_module_that_overflows_is_found(store, demo_images, tmp_path, capsys):
    path, step = break_training(store, demo_images, 'overflow', tmp_path / 'run')
    assert path.name == f'iter_{BROKEN}.pth' and step['broken'] == []
    assert (step['state_dict'][f'{CONV}.weight'] == 3e38).all()
    done = call(capsys, 'replay', path)
    assert done.returncode == 1 and 'loss nan' in done.stdout
    found = done.stdout.split('First not finite: ')[1]
    assert f'of the output of {CONV} (Conv2d); its input and weights' in found


def test_a_gradient_that_is_not_finite_is_found_by_the_weights_after_it(
    store, demo_images, tmp_path, capsys
):
    path, step = break_training(store, demo_images, 'gradient', tmp_path / 'run')
    assert path.name == f'iter_{BROKEN}.pth'
    assert step['broken'][0] == f'{CONV}.weight'
    for name, value in BreakStepHook.weights.items():
        assert torch.equal(step['state_dict'][name], value), name
    for ours, theirs in zip(step['batch']['views'], BreakStepHook.batch['views']):
        assert torch.equal(ours, theirs)
    done = call(capsys, 'replay', path)
    assert done.returncode == 1 and f'{CONV}.weight, after the step' in done.stdout


def test_a_step_that_is_finite_again_says_so(store, demo_images, tmp_path, capsys):
    path, step = break_training(store, demo_images, 'gradient', tmp_path / 'run')
    torch.save(dict(step, broken=[]), path)
    done = call(capsys, 'replay', path)
    assert done.returncode == 0 and 'All values are finite' in done.stdout
    for attack in (
        dict(type='os.system', command=f'touch {tmp_path}/ran'),
        dict(type='mmengine.dump', obj=[1], file=f'{tmp_path}/ran.json'),
        dict(step['model'], neck=dict(type='mmengine.load', file=f'{path}')),
    ):
        torch.save(dict(step, model=attack), path)
        done = call(capsys, 'replay', path)
        assert done.returncode == 1 and 'could run code' in done.stderr
    assert not list(tmp_path.glob('ran*'))
    torch.save(dict(step, state_dict={}), path)
    done = call(capsys, 'replay', path)
    assert done.returncode == 1 and 'are not those of its model' in done.stderr
    del step['random'], step['lr']
    torch.save(step, path)
    done = call(capsys, 'replay', path)
    assert done.returncode == 1 and 'lacks lr, random' in done.stderr
    torch.save(dict(state_dict={}), tmp_path / 'other.pth')
    done = call(capsys, 'replay', tmp_path / 'other.pth')
    assert done.returncode == 1 and 'not a step that a training kept' in done.stderr


def test_the_guard_changes_no_result(store, demo_images, tmp_path, monkeypatch):
    kept = torch.load(train_model(config(store, demo_images), tmp_path / 'with'))
    monkeypatch.setattr(StepGuardHook, 'before_train_iter', Hook.before_train_iter)
    bare = torch.load(train_model(config(store, demo_images), tmp_path / 'without'))
    for name, value in bare['state_dict'].items():
        assert torch.equal(kept['state_dict'][name], value), name
    assert not Path(tmp_path, 'with/not_finite').exists()


def test_a_gradient_of_a_weight_alone_is_found():
    """Of a scale that is too large for one tensor, and for no output."""
    module = nn.Linear(4, 1, bias=False)
    watch = Watch(module)
    with watch.watching():
        (module(torch.full((9, 4), 1e38)) * 1e2).sum().backward()
    assert watch.found == []
    watch.note_gradients()
    assert watch.found[0].startswith('4 of 4 values of the gradient of weight; ')
