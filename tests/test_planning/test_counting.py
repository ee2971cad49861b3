"""What is counted of a step, against formulas for single layers."""

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from soco_mm.planning.counting import StepCounter

N, SIDE = 4, 16


class Two(nn.Module):
    """A convolution and a linear layer, as backbone and neck."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.neck = nn.Linear(8, 5, bias=False)

    def forward(self, x):
        return self.neck(self.backbone(x).mean((2, 3))).sum()


def count(train):
    with FakeTensorMode():
        model = Two()
        images = torch.empty(N, 3, SIDE, SIDE)
        with StepCounter(model) as counter:
            loss = model(images)
            if train:
                loss.backward()
    return counter.count


def total(count, part, name):
    return sum(getattr(each, name) for each in count.operations if each.part == part)


def test_operations_are_two_for_a_multiply_add():
    conv = 2 * N * SIDE * SIDE * 8 * 3 * 9
    linear = 2 * N * 8 * 5
    forward, both = count(False), count(True)
    assert total(forward, 'backbone', 'flops') == conv
    assert total(forward, 'neck', 'flops') == linear
    # Backwards: of the weights; and of the input where it needs a gradient.
    assert total(both, 'backbone', 'flops') == 2 * conv
    assert total(both, 'neck', 'flops') == 3 * linear


def test_bytes_are_those_of_inputs_and_outputs_and_views_are_free():
    pixels, weights = N * SIDE * SIDE, 8 * 3 * 9 + 8
    conv = 4 * (pixels * 3 + weights + pixels * 8)
    relu = 4 * 2 * pixels * 8
    forward = count(False)
    assert total(forward, 'backbone', 'bytes') == conv + relu
    # The transpose of the weight is a view.
    assert total(forward, 'neck', 'bytes') == 4 * (N * 8 + 8 * 5 + N * 5)


def test_batch_norm_reads_its_input_twice():
    with FakeTensorMode():
        model = nn.Sequential()
        model.backbone = nn.BatchNorm2d(8)
        with StepCounter(model) as counter:
            model.backbone(torch.empty(N, 8, SIDE, SIDE))
    maps = 4 * N * 8 * SIDE * SIDE
    moved = total(counter.count, 'backbone', 'bytes')
    # Besides weight, bias and statistics, eight numbers each.
    assert moved == pytest.approx(3 * maps, abs=4 * 8 * 20)


def test_what_is_saved_twice_or_changed_in_place_counts_once():
    with FakeTensorMode():
        model = nn.Module()
        model.backbone = nn.Sequential(
            nn.Conv2d(3, 8, 1), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 1)
        )
        images = torch.empty(N, 3, SIDE, SIDE)
        with StepCounter(model) as counter:
            out = model.backbone(images)
            forward = counter.count.peak
            out.sum().backward()
    image, maps = 4 * N * 3 * SIDE * SIDE, 4 * N * 8 * SIDE * SIDE
    # The image, and the maps of the first convolution, which ReLU changes and the
    # second one reads; not its own result.
    assert counter.count.saved['backbone'] == image + maps
    assert forward == 2 * maps
    # Backwards: at the most twice as much, for gradients, and those of the weights.
    weights = 4 * (3 * 8 + 8 + 8 * 8 + 8)
    assert 2 * maps < counter.count.peak <= 4 * maps + weights
