"""Boxes in the pretext: MMDetection's RPN, and the way back from displaced boxes."""

import copy
import math

import pytest
import small
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.structures import InstanceData
from small import RPN
from test_soco import make_inputs

from soco_mm.checkpoint.transfer import detector_weights
from soco_mm.detectors.build import build_detector
from soco_mm.models import DisplacedBoxHead
from soco_mm.models.utils import build_detector_part
from soco_mm.registry import MODELS


@pytest.fixture
def model():
    torch.manual_seed(0)
    cfg = Config.fromfile(small.SOCO).model
    cfg.neck.num_outs = 5
    cfg.update(rpn_head=RPN, box_head=dict(type='DisplacedBoxHead', in_channels=64))
    model = revert_sync_batchnorm(MODELS.build(cfg))
    model.init_weights()
    return model


def make_proposals(sizes=(64, 64, 32), most=6):
    """All proposals of two images in each view, padded."""
    generator = torch.Generator().manual_seed(3)
    numbers = [torch.tensor([most, 2]) for _ in sizes]
    proposals = []
    for size in sizes:
        xy = torch.rand(2, most, 2, generator=generator) * size / 2
        wh = size / 8 + torch.rand(2, most, 2, generator=generator) * size * 3 / 8
        boxes = torch.cat([xy, xy + wh], -1)
        boxes[1, 2:] = 0
        proposals.append(boxes)
    return proposals, numbers


def test_the_rpns_losses_are_mmdetections_on_the_proposals_of_each_view(model):
    model.eval()
    inputs, (proposals, numbers) = make_inputs(), make_proposals()
    losses = model.loss(*inputs, proposals, numbers)
    assert set(losses) == {
        'loss', 'loss_floor', 'loss_rpn_cls', 'loss_rpn_bbox', 'loss_box'
    }  # fmt: skip
    rpn = build_detector_part(copy.deepcopy(RPN))
    rpn.load_state_dict(model.rpn_head.state_dict())
    totals = dict.fromkeys(('loss_rpn_cls', 'loss_rpn_bbox'), 0.0)
    for view, boxes, number in zip(inputs[0], proposals, numbers):
        samples = []
        for image, count in zip(boxes, number):
            size = tuple(view.shape[-2:])
            sample = DetDataSample(metainfo=dict(img_shape=size, pad_shape=size))
            sample.gt_instances = InstanceData(
                bboxes=image[:count], labels=torch.zeros(count, dtype=torch.long)
            )
            samples.append(sample)
        for name, levels in rpn.loss(model.extract_feat([view]), samples).items():
            totals[name] += float(sum(levels)) / 3
    for name, value in totals.items():
        assert losses[name].item() == pytest.approx(value, rel=1e-4), name
    # What fills a slot that is not used changes nothing.
    for boxes in proposals:
        boxes[1, 2:] = torch.tensor([1.0, 1, 30, 30])
    again = model.loss(*inputs, proposals, numbers)
    assert again['loss_rpn_cls'].item() == losses['loss_rpn_cls'].item()


def test_a_model_with_an_rpn_needs_proposals(model):
    with pytest.raises(ValueError, match='max_proposals of SelectProposals'):
        model.loss(*make_inputs())


def test_the_rpn_fills_a_detectors_and_the_head_of_displaced_boxes_is_dropped(model):
    weights = detector_weights(model.state_dict())
    rpn = build_detector(small.MASK_RCNN).rpn_head.state_dict()
    assert len(rpn) == 6
    for name, value in rpn.items():
        assert weights[f'rpn_head.{name}'].shape == value.shape
    parts = {name.partition('.')[0] for name in weights}
    assert parts == {'backbone', 'neck', 'roi_head', 'rpn_head'}


def test_all_losses_train_and_are_logged_by_name(model):
    losses = model.train().loss(*make_inputs(), *make_proposals())
    total, logged = model.parse_losses(losses)
    names = ('loss', 'loss_rpn_cls', 'loss_rpn_bbox', 'loss_box')
    assert total.item() == pytest.approx(sum(losses[name].item() for name in names))
    assert logged['loss_object'].item() == losses['loss'].item()
    total.backward()
    for part in (model.rpn_head, model.box_head, model.neck.lateral_convs[0]):
        assert all(p.grad.abs().sum() > 0 for p in part.parameters() if p.ndim > 1)


def test_deltas_lead_back_from_a_displaced_box():
    torch.manual_seed(0)
    head = DisplacedBoxHead(in_channels=3)
    boxes = torch.tensor([[[10.0, 20, 50, 40], [0.0, 0, 8, 30]]])
    displaced = head.displace(boxes.expand(500, -1, -1))
    size = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., 2:] + boxes[..., :2]) / 2
    shift = ((displaced[..., 2:] + displaced[..., :2]) / 2 - centre) / size
    growth = ((displaced[..., 2:] - displaced[..., :2]) / size).log()
    for values in (shift, growth):
        assert 0.29 < values.max() < 0.3001 and -0.3001 < values.min() < -0.29
        assert abs(values.mean()) < 0.02
    h, valid = torch.randn(2, 3), torch.tensor([[True, False]])
    moved = displaced[:1]
    predicted = head.fc_reg(h)[0].tolist()
    x1, y1, x2, y2 = moved[0, 0].tolist()
    w, h_ = x2 - x1, y2 - y1
    wanted = [
        (30 - (x1 + x2) / 2) / w / 0.1,
        (30 - (y1 + y2) / 2) / h_ / 0.1,
        math.log(40 / w) / 0.2,
        math.log(20 / h_) / 0.2,
    ]
    expected = sum(abs(a - b) for a, b in zip(predicted, wanted))
    assert head.loss(h, moved, boxes, valid).item() == pytest.approx(expected, rel=1e-4)


def test_the_box_loss_is_the_mean_over_the_views_of_what_is_valid(model):
    views, boxes, valid = make_inputs()
    valid[1][0] = False
    model.eval()
    feats = [model.online_net.extract_feat(view) for view in views]
    torch.manual_seed(5)
    found = model.box_loss(feats, boxes, valid)['loss_box'].item()
    torch.manual_seed(5)
    losses = []
    for maps, box, mask in zip(feats, boxes, valid):
        displaced = model.box_head.displace(box)
        h = model.online_net.head_features(maps, displaced)
        wanted = model.box_head.deltas(displaced, box).flatten(0, 1)
        each = (model.box_head.fc_reg(h) - wanted).abs().sum(-1)
        losses.append(each[mask.flatten()].mean().item())
    assert found == pytest.approx(sum(losses) / 3, rel=1e-4)


def test_the_four_changes_of_a_box_are_drawn_independently():
    torch.manual_seed(0)
    boxes = torch.tensor([[[10.0, 20, 50, 40]]]).expand(2000, -1, -1)
    displaced = DisplacedBoxHead(in_channels=3).displace(boxes)[:, 0]
    centre, size = (
        displaced[:, :2] + displaced[:, 2:],
        displaced[:, 2:] - displaced[:, :2],
    )
    changes = torch.cat([centre / 2, size.log()], -1).T
    assert (torch.corrcoef(changes) - torch.eye(4)).abs().max() < 0.1
