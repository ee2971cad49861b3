import pytest
import torch
from torch import nn

from soco_mm.engine import LARS


def train(make, steps=6):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Linear(16, 5),
    )
    nn.init.zeros_(model[3].weight)  # a norm of 0
    optimizer = make(model)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(torch.randn(8, 3, 4, 4)) - 1).square().mean()
        loss.backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def plain_loop(model, lr=0.1, momentum=0.9, decay=0.01, eta=0.02, eps=1e-8):
    """Algorithm 1 of the LARS paper, a parameter at a time."""

    class Loop:
        buffers = [torch.zeros_like(p) for p in model.parameters()]

        def zero_grad(self):
            model.zero_grad()

        @torch.no_grad()
        def step(self):
            for p, v in zip(model.parameters(), self.buffers):
                g, rate = p.grad.clone(), 1.0
                if p.ndim > 1:
                    w_norm, g_norm = p.norm().item(), g.norm().item()
                    if w_norm > 0 and g_norm > 0:
                        rate = eta * w_norm / (g_norm + decay * w_norm + eps)
                    g += decay * p
                v.mul_(momentum).add_(lr * rate * g)
                p.sub_(v)

    return Loop()


def test_updates_equal_a_plain_loop():
    ours = train(lambda m: LARS(m.parameters(), 0.1, weight_decay=0.01, eta=0.02))
    for expected, actual in zip(train(plain_loop), ours):
        assert torch.allclose(expected, actual, rtol=1e-4, atol=1e-6)


def test_updates_equal_mmselfsups_with_the_same_exclusions():
    Reference = pytest.importorskip('mmselfsup.engine.optimizers').LARS

    def reference(model):
        groups = [
            dict(params=[p for p in model.parameters() if p.ndim > 1]),
            dict(
                params=[p for p in model.parameters() if p.ndim <= 1],
                weight_decay=0.0,
                lars_exclude=True,
            ),
        ]
        return Reference(groups, 0.1, momentum=0.9, weight_decay=0.01, eta=0.02)

    ours = train(lambda m: LARS(m.parameters(), 0.1, weight_decay=0.01, eta=0.02))
    for expected, actual in zip(train(reference), ours):
        assert torch.allclose(expected, actual, rtol=1e-4, atol=1e-6)


def test_state_survives_saving():
    p = nn.Parameter(torch.ones(3, 3))
    optimizer = LARS([p], 0.1)
    p.grad = torch.ones(3, 3)
    optimizer.step()
    other = LARS([p], 0.1)
    other.load_state_dict(optimizer.state_dict())
    assert torch.equal(
        other.state[p]['momentum_buffer'], optimizer.state[p]['momentum_buffer']
    )


def test_negative_numbers_are_refused():
    with pytest.raises(ValueError, match='eta must not be negative'):
        LARS([nn.Parameter(torch.ones(1))], 0.1, eta=-1)


def test_a_weight_without_a_gradient_decays_at_the_plain_rate():
    weight = nn.Parameter(torch.full((2, 3), 2.0))
    weight.grad = torch.zeros_like(weight)
    LARS([weight], lr=0.1, momentum=0.0, weight_decay=0.01, eta=0.001).step()
    assert torch.allclose(weight, torch.full((2, 3), 2 - 0.1 * 0.01 * 2))
