"""Synchronised batch norm in two processes (gloo), against batch norm on all data."""

import copy
from dataclasses import dataclass

import pytest
import torch
from torch import distributed, nn
from two_processes import in_two_processes

from soco_mm.models.layers import ViewSyncBatchNorm, batch_of_views

CHANNELS = 5


@dataclass
class Case:
    """What two processes normalise, and how."""

    samples: tuple = (3, 5)  # of each view, on the two processes
    size: tuple = (4, 3)
    dtype: torch.dtype = torch.float64
    views: int = 1
    mean: float = 2.0
    momentum: float | None = 0.1
    affine: bool = True
    channels_last: bool = False

    def norm(self, cls):
        torch.manual_seed(1)
        norm = cls(CHANNELS, momentum=self.momentum, affine=self.affine)
        if self.affine:
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.normal_(norm.bias)
        nn.init.normal_(norm.running_mean)
        return norm.double() if self.dtype == torch.float64 else norm

    def data(self):
        """Inputs and gradients by process and view."""
        generator = torch.Generator().manual_seed(0)
        found = []
        for number in self.samples:
            shape = (self.views, number, CHANNELS, *self.size)
            x, grad = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
            scale = torch.arange(1, self.views + 1).view(-1, *[1] * (len(shape) - 1))
            found.append([(x * scale + self.mean).to(self.dtype), grad.to(self.dtype)])
        return found


CASES = dict(
    float64=Case(),
    channels_last=Case(channels_last=True),
    views=Case(views=3),
    views_channels_last=Case(views=2, channels_last=True, dtype=torch.float32),
    objects=Case(size=(), samples=(4, 4), views=2),
    volumes=Case(size=(2, 3, 2)),
    no_weights=Case(affine=False),
    cumulative=Case(momentum=None, views=2),
    none_on_one=Case(samples=(0, 4), views=2),
    one_value_each=Case(size=(), samples=(1, 1)),
    float32=Case(dtype=torch.float32),
    bfloat16=Case(dtype=torch.bfloat16),
    far_from_zero=Case(dtype=torch.float32, mean=1e4, size=(16, 16)),
)
# Of the largest value; the statistics of bfloat16 inputs are float32.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-2}


def normalise(norm, x, grad, case):
    """What a process gets: output, gradients and running statistics."""
    x, grad = x.flatten(0, 1), grad.flatten(0, 1)
    if case.channels_last:
        x = x.to(memory_format=torch.channels_last)
    x.requires_grad_(True)
    with batch_of_views(case.views):
        out = norm(x)
    out.backward(grad)
    last = out.dim() == 4 and out.is_contiguous(memory_format=torch.channels_last)
    return dict(
        out=out.detach(),
        grad=x.grad,
        **{name: p.grad for name, p in norm.named_parameters()},
        **dict(norm.named_buffers()),
        channels_last=torch.tensor(last),
    )


def nothing_anywhere():
    """Running statistics after a batch without samples on any process."""
    norm = ViewSyncBatchNorm(2).train()
    x = torch.zeros(0, 2, 3, 3, requires_grad=True)
    norm(x).sum().backward()
    return dict(norm.named_buffers(), grad=x.grad)


def in_process(rank):
    reduce, calls = distributed.all_reduce, []

    def counted(*args, **kwargs):
        calls.append(args)
        return reduce(*args, **kwargs)

    distributed.all_reduce = counted
    found = {}
    for name, case in CASES.items():
        calls.clear()
        norm = case.norm(ViewSyncBatchNorm).train()
        found[name] = normalise(norm, *case.data()[rank], case)
        found[name]['calls'] = len(calls)
    found['nothing'] = nothing_anywhere()
    return found


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    """What the two processes got, by case."""
    return in_two_processes(in_process, tmp_path_factory.mktemp('norms'))


def on_all_data(case, dtype):
    """PyTorch's own batch norm on the data of both processes, view by view."""
    norm = case.norm(nn.BatchNorm1d).to(dtype).train()
    norm._check_input_dim = lambda x: None
    data = [[each.to(dtype) for each in one] for one in case.data()]
    outs, grads = [], []
    for view in range(case.views):
        x = torch.cat([one[view] for one, _ in data]).requires_grad_(True)
        out = norm(x)
        out.backward(torch.cat([one[view] for _, one in data]))
        outs.append(out.detach().split(case.samples))
        grads.append(x.grad.split(case.samples))
    per_process = [
        dict(out=torch.cat(out), grad=torch.cat(grad))
        for out, grad in zip(zip(*outs), zip(*grads))
    ]
    return norm, per_process


@pytest.mark.parametrize('name', CASES)
def test_two_processes_normalise_as_one_that_has_all_data(found, name):
    case = CASES[name]
    norm, expected = on_all_data(case, torch.float64)
    tolerance = TOLERANCE[case.dtype]

    def close(ours, theirs, factor=1.0):
        assert ours.shape == theirs.shape
        largest = max(1.0, theirs.abs().max().item()) if theirs.numel() else 1.0
        error = (ours.double() - theirs).abs().max().item() if ours.numel() else 0.0
        assert error <= factor * tolerance * largest

    # The mean is rounded as the input is.
    rounded = max(4.0, 0.1 * case.mean)
    for rank in (0, 1):
        ours = found[rank][name]
        assert ours['out'].dtype == case.dtype
        close(ours['out'], expected[rank]['out'], rounded)
        close(ours['grad'], expected[rank]['grad'], rounded)
        close(ours['running_mean'], norm.running_mean)
        close(ours['running_var'], norm.running_var, 4.0)
        assert ours['num_batches_tracked'] == norm.num_batches_tracked == case.views
        assert ours['channels_last'] == case.channels_last
    for key, parameter in norm.named_parameters():
        # Distributed training adds up those of the processes.
        both = found[0][name][key] + found[1][name][key]
        close(both, parameter.grad, rounded)


def test_one_collective_forward_and_one_backward_for_all_views(found):
    for name in CASES:
        assert found[0][name]['calls'] == found[1][name]['calls'] == 2, name


def test_a_batch_without_samples_anywhere_keeps_the_statistics(found):
    for each in found:
        nothing = each['nothing']
        assert not nothing['running_mean'].any() and (nothing['running_var'] == 1).all()
        assert nothing['grad'].shape == (0, 2, 3, 3)


def test_the_variance_is_exact_far_from_zero(found):
    """In float32 sums of squares would lose it: 1e8 + 1 is 1e8."""
    case = CASES['far_from_zero']
    norm, _ = on_all_data(case, torch.float64)
    var = found[0]['far_from_zero']['running_var'].double()
    torch.testing.assert_close(var, norm.running_var, rtol=1e-5, atol=0)


@pytest.mark.parametrize('training', [True, False])
def test_one_process_has_plain_batch_norm_bit_for_bit(training):
    x = torch.randn(6, CHANNELS, 4, 4)
    ours = Case(dtype=torch.float32).norm(ViewSyncBatchNorm).train(training)
    plain = Case(dtype=torch.float32).norm(nn.BatchNorm2d).train(training)
    assert torch.equal(ours(x), plain(x))
    assert plain.state_dict().keys() == ours.state_dict().keys()
    assert all(map(torch.equal, ours.buffers(), plain.buffers()))


def test_one_process_too_keeps_the_statistics_of_views_apart():
    x = torch.randn(6, CHANNELS, 4, 4)
    ours = Case(dtype=torch.float32).norm(ViewSyncBatchNorm).train()
    plain = Case(dtype=torch.float32).norm(nn.BatchNorm2d).train()
    with batch_of_views(3):
        out = ours(x)
    assert torch.equal(out, torch.cat([plain(view) for view in x.split(2)]))
    assert all(map(torch.equal, ours.buffers(), plain.buffers()))


def test_conversion_keeps_tensors_modes_and_shared_layers():
    shared = nn.SyncBatchNorm(3, eps=1e-3, momentum=0.2)
    model = nn.Sequential(shared, nn.Sequential(shared, nn.BatchNorm1d(3)), nn.ReLU())
    shared.eval()
    before = copy.copy(model.state_dict(keep_vars=True))
    assert ViewSyncBatchNorm.convert(model) is model
    norm = model[0]
    assert type(norm) is ViewSyncBatchNorm and model[1][0] is norm
    assert type(model[1][1]) is nn.BatchNorm1d
    assert (norm.eps, norm.momentum, norm.training) == (1e-3, 0.2, False)
    after = model.state_dict(keep_vars=True)
    assert list(after) == list(before)
    assert all(after[name] is value for name, value in before.items())
    assert type(ViewSyncBatchNorm.convert(nn.SyncBatchNorm(3))) is ViewSyncBatchNorm


def test_samples_that_are_no_whole_views_are_refused():
    with batch_of_views(2), pytest.raises(ValueError, match='3 samples .* 2 views'):
        ViewSyncBatchNorm(4)(torch.zeros(3, 4))
    with pytest.raises(ValueError, match='expects'):
        ViewSyncBatchNorm(4)(torch.zeros(3))
