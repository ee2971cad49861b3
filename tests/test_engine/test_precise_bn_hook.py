"""Batch norm's statistics, against means and variances of all the batches."""

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.registry import HOOKS, DefaultScope
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset
from two_processes import in_two_processes

from soco_mm.checkpoint.weights_file import read_weights
from soco_mm.engine.hooks.precise_bn_hook import PreciseBNHook, update_statistics


class Samples(Dataset):
    """40 samples of a distribution that is not that of a fresh batch norm."""

    def __len__(self):
        return 40

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return dict(x=3 + index / 10 + 2 * torch.randn(4, generator=generator))


class Model(BaseModel):
    """Two batch norms, of which the second depends on the first's output."""

    def __init__(self):
        super().__init__()
        self.first = nn.BatchNorm1d(4)
        self.linear = nn.Linear(4, 3)
        self.second = nn.BatchNorm1d(3, momentum=None)

    def forward(self, x, mode='tensor'):
        y = self.linear(self.first(x))
        if mode == 'tensor':
            return y
        z = self.second(y)
        return dict(loss=z.square().mean()) if mode == 'loss' else [z]


class Nothing(BaseMetric):
    """A metric that a validation needs to run."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(zero=0)


def batches(start=0, stop=40, size=8):
    data = Samples()
    return [
        dict(x=torch.stack([data[i]['x'] for i in range(at, at + size)]))
        for at in range(start, stop, size)
    ]


def expected(features):
    """Mean and variance of batches, each weighing the same.

    The law of total variance: the mean variance and the variance of means.
    """
    means = torch.stack([x.double().mean(0) for x in features])
    variances = torch.stack([x.double().var(0) for x in features])
    return means.mean(0), variances.mean(0) + means.var(0, correction=0)


def assert_is(layer, statistics):
    mean, var = statistics
    torch.testing.assert_close(layer.running_mean, mean.float())
    torch.testing.assert_close(layer.running_var, var.float())


def outputs_of_linear(model, data):
    """What the second layer gets: the first one normalises by its batch."""
    with torch.no_grad():
        return [
            model.linear(
                nn.functional.batch_norm(
                    batch['x'], None, None, model.first.weight, model.first.bias, True
                )
            )
            for batch in data
        ]


def test_statistics_are_those_of_all_batches():
    torch.manual_seed(0)
    model = Model().train()
    data = batches()
    assert update_statistics(model, data) == 2
    assert_is(model.first, expected([batch['x'] for batch in data]))
    assert_is(model.second, expected(outputs_of_linear(model, data)))


def test_all_else_stays_as_it_was():
    torch.manual_seed(0)
    model = Model().train()
    model(batches()[0]['x'], mode='loss')['loss'].backward()
    before = {name: p.clone() for name, p in model.named_parameters()}
    gradients = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.second.eval()
    kept = model.second.running_mean.clone()
    assert update_statistics(model, batches()) == 1
    assert model.first.momentum == 0.1 and model.second.momentum is None
    assert model.first.num_batches_tracked == 1
    assert not model.first._forward_hooks
    assert torch.equal(model.second.running_mean, kept)
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name]), name
        assert torch.equal(p.grad, gradients[name]), name


def test_a_failing_batch_leaves_the_statistics():
    model = Model().train()
    kept = model.first.running_mean.clone()
    with pytest.raises(RuntimeError):
        update_statistics(model, [*batches(), dict(x=torch.zeros(8, 5))])
    assert torch.equal(model.first.running_mean, kept)
    assert model.first.momentum == 0.1


def test_a_layer_that_no_batch_passes_keeps_its_statistics():
    model = Model().train()
    model.unused = nn.BatchNorm1d(4)
    assert update_statistics(model, batches()) == 2
    assert torch.equal(model.unused.running_var, torch.ones(4))


def work(rank):
    """One of two processes, with half of the batches."""
    torch.manual_seed(0)
    model = Model().train()
    update_statistics(model, batches(24) if rank else batches(0, 24))
    return model.state_dict()


def test_processes_share_their_statistics(tmp_path):
    first, second = in_two_processes(work, tmp_path)
    mean, var = expected([batch['x'] for batch in batches()])
    for state in (first, second):
        torch.testing.assert_close(state['first.running_mean'], mean.float())
        torch.testing.assert_close(state['first.running_var'], var.float())


def train(folder, hook, **loop):
    """A training with a validation and a checkpoint each."""
    by_epoch = loop.get('by_epoch', True)
    torch.manual_seed(0)
    model = Model()
    seen = []

    data = dict(
        dataset=Samples(),
        batch_size=8,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
        sampler=dict(
            type='DefaultSampler' if by_epoch else 'InfiniteSampler', shuffle=False
        ),
    )
    original = model.val_step

    def val_step(batch):
        seen.append({k: v.clone() for k, v in model.state_dict().items()})
        return original(batch)

    model.val_step = val_step
    runner = Runner(
        model=model,
        work_dir=str(folder),
        train_dataloader=data,
        val_dataloader=dict(
            dataset=Samples(),
            batch_size=8,
            num_workers=0,
            collate_fn=dict(type='default_collate'),
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        val_evaluator=[Nothing()],
        val_cfg=dict(),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_cfg=loop,
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=by_epoch, interval=1)
        ),
        custom_hooks=[hook] if hook else [],
        default_scope='mmengine',
        experiment_name=str(folder).replace('/', '_'),
    )
    runner.train()
    return runner, seen


@pytest.mark.parametrize(
    'loop, checkpoint, used',
    [
        (dict(by_epoch=True, max_epochs=1, val_interval=1), 'epoch_1', (0, 40)),
        (dict(by_epoch=False, max_iters=2, val_interval=2), 'iter_2', (16, 40)),
    ],
)
def test_the_validated_and_the_saved_model_have_precise_statistics(
    loop, checkpoint, used, tmp_path
):
    runner, seen = train(tmp_path, PreciseBNHook(num_iters=3), **loop)
    saved = read_weights(tmp_path / f'{checkpoint}.pth').weights
    # By epochs the pass starts anew; by iterations two batches are spent.
    data = batches(*used)[:3]
    mean, var = expected([batch['x'] for batch in data])
    for state in (seen[0], saved):
        torch.testing.assert_close(state['first.running_mean'], mean.float())
        torch.testing.assert_close(state['first.running_var'], var.float())
    plain, _ = train(tmp_path / 'plain', None, **loop)
    for name, p in plain.model.named_parameters():
        assert torch.equal(p, dict(runner.model.named_parameters())[name])
    assert not torch.equal(
        plain.model.first.running_mean, runner.model.first.running_mean
    )


def test_it_waits_for_the_validation(tmp_path):
    runner, seen = train(
        tmp_path,
        PreciseBNHook(),
        by_epoch=False,
        max_iters=3,
        val_begin=4,
        val_interval=1,
    )
    assert not seen
    # A moving average of three batches.
    average = torch.zeros(4)
    for batch in batches()[:3]:
        average += 0.1 * (batch['x'].mean(0) - average)
    torch.testing.assert_close(runner.model.first.running_mean, average)


def test_mmdetection_builds_it_by_its_name():
    with DefaultScope.overwrite_default_scope('mmdet'):
        hook = HOOKS.build(dict(type='soco_mm.PreciseBNHook'))
    assert isinstance(hook, PreciseBNHook) and hook.num_iters == 200


def test_no_batches_are_refused():
    with pytest.raises(ValueError, match='num_iters must be 1 or more'):
        PreciseBNHook(0)
