"""The losses beside the paper's, against loops over their formulas."""

import math

import pytest
import torch
from test_soco import make_inputs
from two_processes import in_two_processes

from soco_mm.models import (
    DisplacedBoxHead,
    ObjectInfoNCELoss,
    SoCoHead,
    VarianceCovarianceLoss,
)


def make_objects(images=4, each=3, channels=6):
    generator = torch.Generator().manual_seed(5)
    pred, target = torch.randn(2, images, each, channels, generator=generator)
    xy = torch.rand(images, each, 2, generator=generator) * 10
    boxes = torch.cat([xy, xy + 20], -1)
    boxes[1, 1] = boxes[1, 0]  # the same object, drawn twice
    boxes[2, 2] = torch.tensor([100.0, 100.0, 104.0, 104.0])
    valid = torch.rand(images, each, generator=generator) < 0.8
    valid[3] = False  # an image without an object
    valid[1, :2] = True
    return pred, target, valid, boxes


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    both = max(w, 0) * max(h, 0)
    areas = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    return both / (sum(areas) - both)


def infonce_loop(pred, target, valid, boxes, temperature):
    """The mean over objects of the cross-entropy, and of its floor."""
    objects = [(n, k) for n, k in torch.nonzero(valid).tolist()]
    losses, floors, left_out = [], [], 0
    for n, k in objects:
        similar = {}
        for m, j in objects:
            overlaps = n == m and iou(boxes[n, k].tolist(), boxes[m, j].tolist()) > 0.5
            if (n, k) != (m, j) and overlaps:
                left_out += 1
                continue
            v, z = pred[n, k].double(), target[m, j].double()
            similar[m, j] = float(v @ z / v.norm() / z.norm()) / temperature
        total = sum(math.exp(value) for value in similar.values())
        losses.append(math.log(total) - similar[n, k])
        floors.append(math.log(len(similar)))
    return sum(losses) / len(losses), sum(floors) / len(floors), left_out


def variance_covariance_loop(feats, valid, alpha=1.0, beta=0.04):
    z = feats[valid].double()
    channels, number = z.shape[1], len(z)
    z = z / z.norm(dim=1, keepdim=True) * math.sqrt(channels)
    mean = [sum(float(row[c]) for row in z) / number for c in range(channels)]

    def cov(c, d):
        each = ((float(row[c]) - mean[c]) * (float(row[d]) - mean[d]) for row in z)
        return sum(each) / (number - 1)

    variance = [max(0, 1 - math.sqrt(cov(c, c) + 1e-4)) for c in range(channels)]
    covariance = [
        cov(c, d) ** 2 for c in range(channels) for d in range(channels) if c != d
    ]
    return (alpha * sum(variance) + beta * sum(covariance)) / channels


def test_infonce_is_the_cross_entropy_over_all_objects_that_do_not_overlap():
    objects = make_objects()
    loss = ObjectInfoNCELoss(temperature=0.2)
    expected, floor, left_out = infonce_loop(*objects, 0.2)
    assert left_out >= 2
    assert loss(*objects).item() == pytest.approx(expected, rel=1e-5)
    assert loss.floor(*objects[1:]).item() == pytest.approx(floor, rel=1e-5)


def test_a_constant_prediction_does_not_get_below_infonces_floor():
    _, target, valid, boxes = make_objects()
    boxes = boxes + 50 * torch.arange(3.0)[:, None]  # no two overlap
    loss = ObjectInfoNCELoss()
    constant = torch.randn(6, requires_grad=True)
    optimizer = torch.optim.Adam([constant], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        value = loss(constant.expand_as(target), target, valid, boxes)
        value.backward()
        optimizer.step()
    floor = loss.floor(target, valid, boxes).item()
    assert floor <= value.item() + 1e-6 < floor + 0.5


def test_objects_that_are_not_valid_have_no_influence_on_infonce():
    pred, target, valid, boxes = make_objects()
    losses = []
    for garbage in (0.0, 3.0):
        for each in (pred, target):
            each[~valid] = each[~valid] * 0 + garbage
        pred.requires_grad_(True)
        losses.append(ObjectInfoNCELoss()(pred, target, valid, boxes))
        (gradient,) = torch.autograd.grad(losses[-1], pred)
        assert gradient[~valid].abs().max() == 0 < gradient[valid].abs().min()
        pred = pred.detach()
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-6)
    nothing = ObjectInfoNCELoss()(pred, target, valid & False, boxes)
    assert nothing.item() == 0


def test_the_regulariser_is_variance_and_covariance_of_unit_features():
    pred, _, valid, _ = make_objects()
    expected = variance_covariance_loop(pred, valid)
    assert VarianceCovarianceLoss()(pred, valid).item() == pytest.approx(expected, 1e-5)
    collapsed = torch.ones_like(pred)
    assert VarianceCovarianceLoss()(collapsed, valid).item() == pytest.approx(0.99)


def of_two_processes(rank):
    pred, target, valid, boxes = (each[2 * rank :][:2] for each in make_objects())
    pred = pred.clone().requires_grad_(True)
    contrast, regulariser = ObjectInfoNCELoss(), VarianceCovarianceLoss()
    found = dict(
        contrast=contrast(pred, target, valid, boxes),
        regulariser=regulariser(pred, valid),
        floor=contrast.floor(target, valid, boxes),
    )
    for name in ('contrast', 'regulariser'):
        (found[f'{name} gradient'],) = torch.autograd.grad(found[name], pred)
    return {name: value.detach() for name, value in found.items()}


def test_two_processes_have_losses_and_gradients_of_the_whole_batch(tmp_path):
    both = in_two_processes(of_two_processes, tmp_path)
    pred, target, valid, boxes = make_objects()
    pred.requires_grad_(True)
    contrast, regulariser = ObjectInfoNCELoss(), VarianceCovarianceLoss()
    whole = dict(
        contrast=contrast(pred, target, valid, boxes),
        regulariser=regulariser(pred, valid),
        floor=contrast.floor(target, valid, boxes),
    )
    for name, value in whole.items():
        mean = torch.stack([each[name] for each in both]).mean()
        assert mean.item() == pytest.approx(value.item(), rel=1e-5), name
    for name in ('contrast', 'regulariser'):
        (expected,) = torch.autograd.grad(whole[name], pred)
        # Distributed training takes the mean.
        got = torch.cat([each[f'{name} gradient'] for each in both]) / 2
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-7)


def make_head(channels):
    return SoCoHead(
        dict(
            type='NonLinearNeck',
            in_channels=channels,
            hid_channels=8,
            out_channels=channels,
            num_layers=2,
            with_avg_pool=False,
            norm_cfg=dict(type='BN1d'),
        ),
        loss=dict(type='ObjectInfoNCELoss'),
        regulariser=dict(type='VarianceCovarianceLoss'),
    )


def test_the_head_gives_boxes_to_the_loss_and_logs_the_regulariser_by_name(small_model):
    views, boxes, valid = make_inputs(number=4)
    small_model.head = make_head(256)
    losses = small_model.loss(views, boxes, valid)
    assert set(losses) == {'loss', 'loss_floor', 'loss_regulariser'}
    # Four terms; twelve objects, of which those that overlap are left out.
    assert 4 * math.log(10) < losses['loss_floor'] < 4 * math.log(12.1)
    total, logged = small_model.parse_losses(losses)
    assert set(logged) == {'loss', 'loss_object', 'loss_regulariser', 'loss_floor'}
    expected = losses['loss'] + losses['loss_regulariser']
    assert total.item() == pytest.approx(expected.item())
    over = (losses['loss'] - losses['loss_floor']).item()
    assert (total - logged['loss_floor']).item() == pytest.approx(over, abs=1e-5)
    total.backward()
    assert all(p.grad is not None for p in small_model.head.parameters())


def test_losses_are_float32_in_mixed_precision():
    pred, target, valid, boxes = make_objects()
    regulariser, head = VarianceCovarianceLoss(), DisplacedBoxHead(6)
    losses = (
        lambda: ObjectInfoNCELoss()(pred, target, valid, boxes),
        lambda: ObjectInfoNCELoss().floor(target, valid, boxes),
        lambda: regulariser(pred, valid),
        lambda: head.loss(pred.flatten(0, 1), boxes + 1, boxes, valid),
    )
    for loss in losses:
        plain = loss()
        with torch.autocast('cpu', torch.bfloat16):
            mixed = loss()
        assert mixed.dtype == torch.float32 and torch.equal(mixed, plain)


def test_the_regulariser_is_the_mean_over_the_predictions_of_each_view():
    torch.manual_seed(0)
    head = make_head(6).eval()
    _, _, valid, boxes = make_objects()
    online = list(torch.randn(3, 4, 3, 6))
    masks = [valid, valid, valid.flip(0)]
    # The boxes of the first view alone say which objects overlap.
    places = [boxes, boxes * 0 + 1, boxes * 0 + 1]
    losses = head.loss(online, online, masks, places)
    pred = [head.predictor([z.flatten(0, 1)])[0].view_as(z) for z in online]
    each = [variance_covariance_loop(v.detach(), m) for v, m in zip(pred, masks)]
    assert losses['loss_regulariser'].item() == pytest.approx(sum(each) / 3, rel=1e-4)
    expected = 0.0
    for j in (1, 2):
        both = masks[0] & masks[j]
        for v, z in ((pred[0], online[j]), (pred[j], online[0])):
            expected += infonce_loop(v.detach(), z, both, boxes, 0.2)[0]
    assert losses['loss'].item() == pytest.approx(expected, rel=1e-4)
