"""Learning rate and momentum in a real Runner, against the closed forms."""

from math import ceil, cos, pi

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn

from soco_mm.engine.config import CONFIG_ROOT
from soco_mm.engine.schedules import count_optimizer_steps
from soco_mm.models import CosineEMA

EPOCHS, ITERATIONS = 100, 7


class Toy(BaseModel):
    """What the hook needs of a model, and nothing to compute."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.target_net = CosineEMA(self.layer, 0.99)
        self.updates, self.resets = [], 0

    def reset_target(self):
        self.resets += 1

    def update_target(self, step, max_steps):
        self.updates.append((step, self.target_net.momentum_at(step, max_steps)))

    def forward(self, x, mode):
        return dict(loss=self.layer(x).sum())


class Record(Hook):
    priority = 'VERY_HIGH'

    def __init__(self):
        self.lr = []

    def before_train_iter(self, runner, *args, **kwargs):
        self.lr += runner.optim_wrapper.get_lr()['lr']


def run(tmp_path, accumulated):
    cfg = Config.fromfile(CONFIG_ROOT / 'soco/soco_r50_fpn_100e.py')
    data = [dict(x=torch.ones(2))] * ITERATIONS
    loader = torch.utils.data.DataLoader(data, 1, sampler=DefaultSampler(data, False))
    record = Record()
    runner = Runner(
        model=Toy(),
        work_dir=str(tmp_path),
        train_dataloader=loader,
        train_cfg=cfg.train_cfg,
        optim_wrapper=dict(
            type='OptimWrapper',
            accumulative_counts=accumulated,
            optimizer=dict(type='SGD', lr=8.0),
        ),
        param_scheduler=cfg.param_scheduler,
        default_hooks=dict(
            checkpoint=None,
            logger=None,
            param_scheduler=cfg.default_hooks.param_scheduler,
        ),
        custom_hooks=[*cfg.custom_hooks, record],
        default_scope='soco_mm',
        log_level='ERROR',
        experiment_name=f'{tmp_path.name}_{accumulated}',
    )
    count_optimizer_steps(runner)
    runner.train()
    return runner.model, record.lr


@pytest.mark.parametrize('accumulated', [1, 3])
def test_schedules_follow_the_closed_forms(tmp_path, accumulated):
    model, lr = run(tmp_path, accumulated)
    total = EPOCHS * ITERATIONS
    assert len(lr) == total
    steps = ceil(total / accumulated)
    warm = ceil(10 * ITERATIONS / accumulated)
    for i in range(total):
        k = i // accumulated  # the step of the optimiser
        if k < warm:  # linear from a hundredth
            expected = 8 * (0.01 + 0.99 * k / (warm - 1))
        else:  # cosine to 1e-6
            share = (k - warm) / (steps - warm)
            expected = 1e-6 + (8 - 1e-6) * (1 + cos(pi * share)) / 2
        assert lr[i] == pytest.approx(expected, rel=1e-9), i

    assert model.resets == 1
    assert [step for step, _ in model.updates] == list(range(1, steps + 1))
    for k, momentum in model.updates:
        tau = 1 - (1 - 0.99) * (cos(pi * k / steps) + 1) / 2
        assert momentum == pytest.approx(tau)


def test_400_epochs_differ_in_their_length_alone():
    short = Config.fromfile(CONFIG_ROOT / 'soco/soco_r50_fpn_100e.py')
    long = Config.fromfile(CONFIG_ROOT / 'soco/soco_r50_fpn_400e.py')
    assert long.train_cfg.max_epochs == 400
    assert long.param_scheduler[0] == short.param_scheduler[0]
    assert long.param_scheduler[1] == dict(short.param_scheduler[1], end=400, T_max=390)
    for cfg in (short, long):
        cfg.pop('train_cfg')
        cfg.pop('param_scheduler')
    assert short._cfg_dict == long._cfg_dict
    # 2048 images on 16 GPUs at lr 1.0 for 256.
    assert short.train_dataloader.batch_size * 16 == 2048
    assert short.optim_wrapper.optimizer.lr == 2048 / 256
