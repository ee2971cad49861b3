"""Nothing of a step waits for the device."""

import pytest
import torch
from mmdet.models.task_modules.coders.delta_xywh_bbox_coder import bbox2delta
from mmdet.structures.bbox import bbox_overlaps
from test_soco import make_inputs
from torch.utils._python_dispatch import TorchDispatchMode

from soco_mm.engine.optimizers import LARS
from soco_mm.models import (
    DisplacedBoxHead,
    ObjectCosineLoss,
    ObjectInfoNCELoss,
    VarianceCovarianceLoss,
)
from soco_mm.models.utils.object_metrics import same_objects

# A tensor of Python numbers, which is copied to a GPU; and what reads a number, or a
# shape, from there.
WAITING = {'lift_fresh', '_local_scalar_dense', 'nonzero', 'masked_select'}
INDEXING = {'index', 'index_put_', '_index_put_impl_'}


class Waiting(TorchDispatchMode):
    """Counts operators for which a host would wait for its device."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        by_mask = name in INDEXING and any(
            each is not None and each.dtype == torch.bool for each in args[1]
        )
        if name in WAITING or by_mask:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def test_what_waits_is_seen():
    x = torch.zeros(4)
    with Waiting() as waiting:
        x[2] = 5
        x.new_tensor([1.0])
        x.sum().item()
        x[x > 0]
        x[2:3].fill_(5)
    assert waiting.found == ['lift_fresh'] * 2 + ['_local_scalar_dense', 'index']


@pytest.mark.parametrize('loss', [ObjectCosineLoss, ObjectInfoNCELoss])
def test_no_step_waits_for_the_device(small_model, loss):
    small_model.head.loss = loss()
    small_model.head.regulariser = VarianceCovarianceLoss()
    small_model.box_head = DisplacedBoxHead(64)
    optimizer = LARS(small_model.trained_net.parameters(), lr=0.1)
    inputs = make_inputs()
    with Waiting() as waiting:
        losses = small_model.loss(*inputs)
        small_model.parse_losses(losses)[0].backward()
        optimizer.step()
        small_model.update_target(1, 10)
    assert set(losses) == {'loss', 'loss_floor', 'loss_regulariser', 'loss_box'}
    assert waiting.found == []


def make_boxes():
    """Two hundred boxes, some of them empty or equal."""
    generator = torch.Generator().manual_seed(0)
    start = torch.rand(200, 2, generator=generator) * 60
    size = torch.rand(200, 2, generator=generator) * 60
    size[::17] = 0
    boxes = torch.cat([start, start + size], -1)
    boxes[1::13] = boxes[2::13][: len(boxes[1::13])]
    return boxes


def test_overlaps_are_mmdetections_to_the_bit():
    boxes = make_boxes()
    one_image = torch.zeros(len(boxes), dtype=torch.long)
    iou = bbox_overlaps(boxes, boxes)
    # Where a rounding would show: a limit that is the IoU of a pair.
    for limit in (0.5, *iou[iou > 0][::50].tolist()):
        assert torch.equal(same_objects(boxes, one_image, limit), iou > limit)


def test_deltas_are_mmdetections_to_the_bit():
    boxes = make_boxes()
    boxes = boxes[(boxes[:, 2:] > boxes[:, :2]).all(1)]
    head = DisplacedBoxHead(3)
    displaced = head.displace(boxes)
    expected = bbox2delta(displaced, boxes, stds=(0.1, 0.1, 0.2, 0.2))
    assert torch.equal(head.deltas(displaced, boxes), expected)
    assert 'stds' not in head.state_dict()
