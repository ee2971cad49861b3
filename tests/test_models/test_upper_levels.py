"""Maps of the feature pyramid that no box is on are not computed."""

import copy

import pytest
import small
import torch
from mmdet.models import FPN, PAFPN
from mmengine.model import revert_sync_batchnorm
from test_soco import make_inputs
from torch._subclasses import FakeTensorMode

from soco_mm.engine.config import load_config
from soco_mm.models import DisplacedBoxHead, SoCo
from soco_mm.models.utils.upper_levels import most_skipped, upper_levels
from soco_mm.registry import MODELS

CHANNELS = [4, 8, 12, 16]


@pytest.mark.parametrize(
    'settings',
    [
        dict(num_outs=4),
        dict(num_outs=5),
        dict(num_outs=6, start_level=1, add_extra_convs='on_input'),
        dict(num_outs=6, add_extra_convs='on_lateral', norm_cfg=dict(type='BN')),
        dict(num_outs=6, add_extra_convs='on_output', relu_before_extra_convs=True),
    ],
    ids=str,
)
def test_coarse_maps_are_those_of_the_whole_pyramid(settings):
    neck = FPN(in_channels=CHANNELS, out_channels=8, **settings)
    inputs = tuple(
        torch.randn(2, width, 32 >> level, 32 >> level)
        for level, width in enumerate(CHANNELS)
    )
    whole = neck(inputs)
    before = copy.deepcopy(dict(neck.named_modules())).keys()
    most = most_skipped(neck)
    assert most == 3 - settings.get('start_level', 0)
    for skipped in range(1, most + 1):
        maps = upper_levels(neck, inputs, skipped)
        assert maps[:skipped] == (None,) * skipped and len(maps) == len(whole)
        assert all(map(torch.equal, maps[skipped:], whole[skipped:]))
    assert dict(neck.named_modules()).keys() == before
    assert len(neck(inputs)) == len(whole)
    bottom_up = PAFPN(in_channels=CHANNELS, out_channels=8, num_outs=4)
    assert most_skipped(bottom_up) == most_skipped(None) == 0


def large_objects():
    """Boxes of V1 and V2 reach P4 and P3; those of V3, none in its first level."""
    views, boxes, valid = make_inputs(sizes=(224, 224, 112))
    for box, side in zip(boxes, (100, 60, 110)):
        box[..., :2] = 1
        box[..., 2:] = 1 + side
    boxes[1][0, 0, 2:] = 150.0
    return views, boxes, valid


def step(model, inputs):
    """The loss, all gradients, and the running statistics after it."""
    loss = model.loss(*inputs)['loss']
    loss.backward()
    gradients = {
        name: p.grad for name, p in model.named_parameters() if p.requires_grad
    }
    return loss, gradients, dict(model.named_buffers())


def test_loss_and_gradients_are_bit_equal_without_maps_that_no_box_is_on(
    small_model, monkeypatch
):
    inputs = large_objects()
    other = copy.deepcopy(small_model)
    called = []
    neck = small_model.neck
    for level, conv in enumerate(neck.fpn_convs):
        conv.register_forward_hook(lambda *_, level=level: called.append(level))
    assert small_model.idle_levels(inputs[1]) == [2, 1, 0]
    loss, gradients, buffers = step(small_model, inputs)
    assert [called.count(level) for level in range(4)] == [1, 2, 3, 3]
    monkeypatch.setattr(SoCo, 'idle_levels', lambda self, boxes: [0] * len(boxes))
    expected, their_gradients, their_buffers = step(other, inputs)
    assert torch.equal(loss, expected)
    for name, theirs in their_gradients.items():
        assert torch.equal(gradients[name], theirs), name
    apart = {
        name.removeprefix('target_net.module.')
        for name, theirs in their_buffers.items()
        if not torch.equal(buffers[name], theirs)
    }
    # Their statistics are those of fewer views.
    assert {name.rsplit('.', 2)[0] for name in apart} == {
        f'neck.{convs}.{level}'
        for convs in ('lateral_convs', 'fpn_convs')
        for level in (0, 1)
    }


@pytest.mark.parametrize('extra', ['on_input', 'on_lateral', 'on_output'])
def test_boxes_may_all_be_on_the_levels_above_the_backbones(extra, monkeypatch):
    options = small.R50 | small.MLP | {'model.neck.add_extra_convs': extra}
    torch.manual_seed(0)
    model = MODELS.build(load_config('short/soco_r50_retinanet_short', options).model)
    model = revert_sync_batchnorm(model)
    views, boxes, valid = make_inputs(sizes=(224, 224, 112))
    for box, side in zip(boxes, (150, 220, 30)):  # P7, P7, and P4 of P3 to P7
        box[..., :2] = 1
        box[..., 2:] = 1 + side
    other = copy.deepcopy(model)
    loss, gradients, _ = step(model, (views, boxes, valid))
    # Of the three maps that have a lateral convolution, the last is needed.
    assert model.idle_levels(boxes) == [2, 2, 0]
    monkeypatch.setattr(SoCo, 'idle_levels', lambda self, boxes: [0] * len(boxes))
    expected, their_gradients, _ = step(other, (views, boxes, valid))
    assert torch.equal(loss, expected)
    for name, theirs in their_gradients.items():
        assert (theirs is None) == (gradients[name] is None), name
        assert theirs is None or torch.equal(gradients[name], theirs), name


def test_all_maps_are_computed_where_they_may_be_read(small_model):
    views, boxes, valid = large_objects()
    boxes[0][1, 2] = torch.tensor([0.0, 0.0, 40.0, 40.0])  # one small object
    assert small_model.idle_levels(boxes) == [0, 1, 0]
    small_model.box_head = DisplacedBoxHead(64)
    assert small_model.idle_levels(boxes) == [0, 0, 0]


def test_tensors_without_content_are_not_read(small_model):
    """Those by which a training is planned."""
    _, boxes, _ = large_objects()
    with FakeTensorMode() as mode:
        assert small_model.idle_levels(list(map(mode.from_tensor, boxes))) == [0] * 3
