import copy
import math

import pytest
import torch
from torch import nn

from soco_mm.models import CosineEMA


def test_target_follows_the_closed_form_of_the_schedule():
    torch.manual_seed(0)
    online = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    ema = CosineEMA(online, momentum=0.99)
    expected = copy.deepcopy(online).double()
    steps = 5
    for k in range(1, steps + 1):
        with torch.no_grad():
            for p in online.parameters():
                p.add_(torch.randn_like(p))
        tau = 1 - (1 - 0.99) * (math.cos(math.pi * k / steps) + 1) / 2
        with torch.no_grad():
            for e, p in zip(expected.parameters(), online.parameters()):
                e.copy_(tau * e + (1 - tau) * p.double())
        ema.update_parameters(online, k, steps)
        assert ema.steps.item() == k
        for e, p in zip(expected.parameters(), ema.module.parameters()):
            assert torch.allclose(e.float(), p, atol=1e-6)
    assert ema.momentum_at(0, steps) == pytest.approx(0.99)
    assert ema.momentum_at(steps, steps) == pytest.approx(1)


def test_target_keeps_its_own_batch_norm_statistics():
    online = nn.BatchNorm1d(2)
    ema = CosineEMA(online)
    online(torch.randn(8, 2) + 5)
    ema.update_parameters(online, 1, 10)
    assert not ema.module.running_mean.any()
    ema.reset(online)
    assert ema.steps.item() == 0
    assert torch.equal(ema.module.running_mean, online.running_mean)


def test_momentum_outside_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match='momentum'):
        CosineEMA(nn.Linear(1, 1), momentum=1.5)
