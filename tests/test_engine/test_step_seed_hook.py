"""A training whose model draws random numbers is resumed bit for bit."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import small
import torch
from mmengine.hooks import Hook

from soco_mm.engine.hooks import StepSeedHook, step_seed_hook
from soco_mm.engine.training import train_model
from soco_mm.registry import HOOKS


class Stop(Hook):
    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            raise KeyboardInterrupt


def test_rpn_displaced_boxes_and_regulariser_go_on_bit_for_bit(
    demo_images, store, monkeypatch, tmp_path
):
    monkeypatch.setitem(HOOKS._module_dict, 'StopHook', Stop)

    def weights(name, hooks=(), **kwargs):
        options = {'train_cfg.max_epochs': 2}
        cfg = small.training(store, demo_images, options, hooks)
        cfg.model.update(
            rpn_head=small.RPN,
            box_head=dict(type='DisplacedBoxHead', in_channels=64),
        )
        cfg.model.neck.num_outs = 5
        cfg.model.head.regulariser = dict(type='VarianceCovarianceLoss')
        for each in cfg.train_dataloader.dataset.pipeline:
            if each.type == 'SelectProposals':
                each.max_proposals = 6
        path = train_model(cfg, tmp_path / name, **kwargs)
        return torch.load(path)['state_dict']

    expected = weights('straight')
    with pytest.raises(KeyboardInterrupt):
        weights('stopped', hooks=[dict(type='StopHook')])
    torch.manual_seed(123)  # what another process would draw next
    actual = weights('stopped', resume=True)
    assert expected.keys() == actual.keys()
    different = [k for k in expected if not torch.equal(expected[k], actual[k])]
    assert different == []


def test_iterations_processes_and_seeds_have_other_random_numbers(monkeypatch):
    hook, found = StepSeedHook(), {}
    for seed in (0, 1):
        for iteration in (0, 1):
            for rank in (0, 1):
                monkeypatch.setattr(step_seed_hook, 'get_rank', lambda rank=rank: rank)
                runner = SimpleNamespace(seed=seed, iter=iteration)
                hook.before_train_iter(runner, 0)
                key = seed, iteration, rank
                found[key] = torch.rand(3), np.random.rand(3), random.random()
                hook.before_train_iter(runner, 0)
                assert torch.equal(found[key][0], torch.rand(3))
    for kind in (0, 1, 2):
        values = [np.ravel(each[kind])[0] for each in found.values()]
        assert len(set(map(float, values))) == 8
