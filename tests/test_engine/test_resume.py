"""Trainings that are stopped, go wrong, or are resumed, in a real Runner."""

import json
import math
from functools import partial
from math import cos, pi
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner
from torch import nn

from soco_mm.checkpoint.provenance import PROVENANCE
from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.config import load_config
from soco_mm.engine.loops import use_own_loop
from soco_mm.engine.pretraining import PretrainPlan
from soco_mm.engine.schedules import count_optimizer_steps, set_epochs
from soco_mm.engine.training import check_resumable
from soco_mm.models import CosineEMA
from soco_mm.proposals import ProposalStore
from soco_mm.utils import SoCoError, UsageError

IMAGES = 24


class Toy(BaseModel):
    def __init__(self, poisoned=None):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.target_net = CosineEMA(self.layer, 0.99)
        self.updates, self.poisoned, self.seen = [], poisoned, 0

    def reset_target(self):
        self.target_net.reset(self.layer)

    def update_target(self, step, max_steps):
        self.target_net.update_parameters(self.layer, step, max_steps)
        self.updates.append((step, max_steps))

    def forward(self, x, mode):
        self.seen += 1
        loss = self.layer(x).square().mean()
        if self.seen == self.poisoned:
            loss = loss * math.nan
        return dict(loss=loss)


class Record(Hook):
    priority = 'VERY_HIGH'

    def __init__(self, stop=None):
        self.lr, self.stop = [], stop

    def before_train_epoch(self, runner):
        if runner.epoch == self.stop:
            raise KeyboardInterrupt

    def before_train_iter(self, runner, *args, **kwargs):
        self.lr += runner.optim_wrapper.get_lr()['lr']


def build(
    work_dir,
    batch=2,
    epochs=4,
    accumulated=1,
    lr=8.0,
    resume=False,
    stop=None,
    interval=1,
    poisoned=None,
    wrapper=None,
    keep=3,
):
    """A runner with the hooks and schedules of the recipes."""
    cfg = load_config('soco_r50_fpn_100e')
    set_epochs(cfg, epochs, IMAGES // batch)
    use_own_loop(cfg)
    data = [dict(x=torch.ones(2))] * IMAGES
    loader = torch.utils.data.DataLoader(
        data, batch, sampler=DefaultSampler(data, False)
    )
    record = Record(stop)
    model = Toy(poisoned)
    hooks = cfg.default_hooks
    hooks.logger.interval = interval
    hooks.checkpoint.max_keep_ckpts = keep
    last = latest_checkpoint(work_dir) if resume else None
    runner = Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=cfg.train_cfg,
        optim_wrapper=wrapper(model)
        if wrapper
        else dict(
            type='OptimWrapper',
            accumulative_counts=accumulated,
            optimizer=dict(type='SGD', lr=lr / 1000, momentum=0.9),
        ),
        param_scheduler=cfg.param_scheduler,
        default_hooks=hooks,
        custom_hooks=[*cfg.custom_hooks, record],
        visualizer=dict(cfg.visualizer, save_dir=str(work_dir)),
        resume=last is not None,
        load_from=last and str(last),
        default_scope='soco_mm',
        experiment_name=f'{work_dir}_{batch}_{epochs}_{resume}_{stop}',
    )
    count_optimizer_steps(runner)
    if last:
        check_resumable(runner, last)
    return runner, model, record


def stopped(work_dir, epoch=2, **kwargs):
    runner, *_ = build(work_dir, stop=epoch, **kwargs)
    with pytest.raises(KeyboardInterrupt):
        runner.train()


@pytest.mark.parametrize(
    'now',
    [
        dict(batch=4),
        dict(batch=1),
        dict(accumulated=3),
        dict(epochs=6),
        dict(lr=2.0),
        dict(batch=4, epochs=6, lr=2.0),
    ],
)
def test_schedules_go_on_by_the_epochs_that_are_done(tmp_path, now):
    stopped(tmp_path / 'run')
    runner, model, record = build(tmp_path / 'run', resume=True, **now)
    runner.train()
    undisturbed, other, expected = build(tmp_path / 'other', **now)
    undisturbed.train()
    done = 2 * IMAGES // now.get('batch', 2)
    assert record.lr == expected.lr[done:]
    # The closed form, in the cosine, and its end.
    length, epochs = IMAGES // now.get('batch', 2), now.get('epochs', 4)
    base = now.get('lr', 8.0) / 1000
    share = (done - length) / (length * (epochs - 1))
    assert record.lr[0] == pytest.approx(
        1e-6 + (base - 1e-6) * (1 + cos(pi * share)) / 2
    )
    assert record.lr[-1] < 0.02 * base
    steps = done // now.get('accumulated', 1)
    assert model.updates == other.updates[steps:]
    last = model.updates[-1]
    assert last[0] == last[1]  # the momentum ends at 1


def test_the_same_training_goes_on_exactly(tmp_path):
    stopped(tmp_path / 'run')
    runner, model, record = build(tmp_path / 'run', resume=True)
    runner.train()
    undisturbed, other, expected = build(tmp_path / 'other')
    undisturbed.train()
    assert record.lr == expected.lr[IMAGES:]
    ours, theirs = (
        torch.load(tmp_path / name / 'checkpoints/epoch_4.pth')
        for name in ('run', 'other')
    )
    assert ours['param_schedulers'] == theirs['param_schedulers']


def test_what_is_converted_is_said(tmp_path):
    stopped(tmp_path / 'run')
    runner, *_ = build(tmp_path / 'run', resume=True, batch=4, epochs=6)
    runner.train()
    log = max(tmp_path.glob('run/*/*.log')).read_text()
    assert ('batch_size=2, now 4; epochs=4, now 6): 2 of 6 epochs are done') in log


def test_fewer_epochs_than_are_done_are_refused(tmp_path):
    stopped(tmp_path / 'run')
    runner, *_ = build(tmp_path / 'run', resume=True, epochs=1)
    with pytest.raises(SoCoError, match='from epoch 2, .* has 1 epochs'):
        runner.train()


@pytest.mark.parametrize('interval', [1, 5, 50])
def test_a_loss_that_is_not_finite_stops_a_training(tmp_path, interval):
    runner, _, record = build(tmp_path, poisoned=29, interval=interval, keep=1)
    with pytest.raises(SoCoError) as error:
        runner.train()
    text = str(error.value)
    assert 'loss nan' in text and 'epoch 3, iteration 5 of 12' in text
    assert f'learning rate {record.lr[28]:.4g}. ' in text
    kept = tmp_path / 'checkpoints/epoch_2.pth'
    assert str(kept) in text and '--resume' in text
    assert latest_checkpoint(tmp_path) == kept
    assert all(
        value.isfinite().all() for value in torch.load(kept)['state_dict'].values()
    )
    for line in (tmp_path / 'vis_data/scalars.json').read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


@pytest.mark.parametrize('where', ['weight', 'optimizer'])
def test_weights_that_are_not_finite_replace_no_checkpoint(tmp_path, where):

    class Poison(Hook):
        def after_train_iter(self, runner, *args, **kwargs):
            if runner.iter + 1 == 2 * IMAGES // 2:
                values = runner.model.layer.weight
                if where == 'optimizer':
                    state = runner.optim_wrapper.optimizer.state[values]
                    values = state['momentum_buffer']
                values.data[0, 0] = math.inf

    runner, *_ = build(tmp_path, keep=1)
    runner.register_hook(Poison())
    with pytest.raises(SoCoError, match='The weights are not finite.*epoch_1'):
        runner.train()
    assert latest_checkpoint(tmp_path).name == 'epoch_1.pth'


def test_a_checkpoint_with_nan_is_not_resumed(tmp_path):
    stopped(tmp_path)
    path = latest_checkpoint(tmp_path)
    checkpoint = torch.load(path)
    checkpoint['optimizer']['state'][0]['momentum_buffer'][0] = math.nan
    torch.save(checkpoint, path)
    with pytest.raises(SoCoError, match='optimizer.state.0.momentum_buffer'):
        build(tmp_path, resume=True)


def test_scalars_stay_json(tmp_path):
    runner, *_ = build(tmp_path)
    runner.visualizer.add_scalars(
        dict(a=math.nan, b=torch.tensor(math.inf), c=1.5, step=1)
    )
    line = (tmp_path / 'vis_data/scalars.json').read_text()
    assert json.loads(line) == dict(a=None, b=None, c=1.5, step=1)


@pytest.mark.parametrize('accumulated', [1, 2])
def test_a_step_that_the_scaler_skips_is_no_step(tmp_path, monkeypatch, accumulated):
    """With MMEngine's wrapper, PyTorch's scaler and overflowing gradients."""
    module = AmpOptimWrapper.__module__
    monkeypatch.setattr(f'{module}.is_cuda_available', lambda: True)
    monkeypatch.setattr(f'{module}.GradScaler', partial(torch.amp.GradScaler, 'cpu'))
    overflow = 4 * accumulated

    def wrapper(model):

        def poison(grad):
            return grad * math.inf if model.seen == overflow else grad

        model.layer.weight.register_hook(poison)
        return AmpOptimWrapper(
            optimizer=torch.optim.SGD(model.parameters(), lr=0.008, momentum=0.9),
            dtype='bfloat16',
            accumulative_counts=accumulated,
        )

    runner, model, record = build(tmp_path / 'run', wrapper=wrapper)
    runner.train()
    assert runner.message_hub.get_info('skipped_steps') == 1
    undisturbed, other, expected = build(tmp_path / 'other', accumulated=accumulated)
    undisturbed.train()
    total = 4 * IMAGES // 2
    assert model.updates == other.updates[:-1]
    assert len(model.updates) == total // accumulated - 1
    # The rate of the skipped step is taken by the one after it.
    steps, wanted = (
        each.lr[accumulated - 1 :: accumulated] for each in (record, expected)
    )
    assert steps[:4] == pytest.approx(wanted[:4])
    assert steps[4:] == pytest.approx(wanted[3:-1])
    assert model.layer.weight.isfinite().all()


def test_a_run_is_not_resumed_with_proposals_that_were_made_again(
    store, tmp_path, monkeypatch
):
    opened = ProposalStore.open(store)
    run = SimpleNamespace(out=tmp_path)
    known = dict(proposals=dict(sha256=opened.header['hash']))
    (tmp_path / PROVENANCE).write_text(json.dumps(known))
    there = ['epoch_1.pth']
    monkeypatch.setattr(
        'soco_mm.engine.pretraining.latest_checkpoint', lambda out: there[0]
    )
    PretrainPlan.check_proposals(run, opened)
    known['proposals']['sha256'] = 'another'
    (tmp_path / PROVENANCE).write_text(json.dumps(known))
    with pytest.raises(UsageError, match='was made again after .* was begun with it'):
        PretrainPlan.check_proposals(run, opened)
    there[0] = None  # nothing is trained yet
    PretrainPlan.check_proposals(run, opened)
