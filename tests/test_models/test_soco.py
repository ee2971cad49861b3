import math

import pytest
import torch
from mmdet.models import Shared4Conv1FCBBoxHead
from mmengine.optim import OptimWrapper
from mmengine.registry import DefaultScope

from soco_mm.models.algorithms.soco import fill_invalid


def make_inputs(number=2, proposals=3, sizes=(64, 64, 32)):
    generator = torch.Generator().manual_seed(1)
    views = [torch.randn(number, 3, size, size, generator=generator) for size in sizes]
    boxes = []
    for size in sizes:
        xy = torch.rand(number, proposals, 2, generator=generator) * size / 2
        wh = (
            size / 8
            + torch.rand(number, proposals, 2, generator=generator) * size * 3 / 8
        )
        boxes.append(torch.cat([xy, xy + wh], -1))
    valid = [torch.ones(number, proposals, dtype=torch.bool) for _ in sizes]
    return views, boxes, valid


def eq5_and_6(model, views, boxes, valid):
    """The loss as loops over pairs, images and proposals."""
    online = [model.online_net(v, b) for v, b in zip(views, boxes)]
    target = [model.target_net(v, b) for v, b in zip(views, boxes)]
    total = 0.0
    for j in range(1, len(views)):
        for here, there in ((0, j), (j, 0)):
            per_image = []
            for n in range(len(views[0])):
                terms = []
                for k in range(boxes[0].shape[1]):
                    if valid[0][n, k] and valid[j][n, k]:
                        v = model.head.predictor([online[here][n, k][None]])
                        v = v[0][0].double()
                        w = target[there][n, k].double()
                        terms.append(
                            -2 * float(v @ w) / math.sqrt(float(v @ v) * float(w @ w))
                        )
                per_image.append(sum(terms) / len(terms) if terms else 0.0)
            total += sum(per_image) / len(per_image)
    return total


@torch.no_grad()
def perturb_target(model):
    generator = torch.Generator().manual_seed(2)
    for p in model.target_net.module.parameters():
        p += (
            0.1 * p.std() * torch.randn(p.shape, generator=generator)
            if (p.ndim > 1)
            else 0
        )


def test_loss_equals_a_loop_over_equations_5_and_6(small_model):
    perturb_target(small_model.eval())
    views, boxes, valid = make_inputs()
    valid[0][0, 1] = valid[1][0, 2] = False
    valid[2][1] = False  # an image without a proposal in one pair
    loss = small_model.loss(views, boxes, valid)['loss']
    with torch.no_grad():
        expected = eq5_and_6(small_model, views, boxes, valid)
    assert loss.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('training', [True, False])
def test_boxes_of_invalid_proposals_have_no_influence(small_model, training):
    small_model.train(training)
    views, boxes, valid = make_inputs()
    valid[1][0, 1] = valid[2][1, 2] = False
    losses = []
    for garbage in (0.0, 1e6, float('nan')):
        boxes[1][0, 1] = boxes[2][1, 2] = garbage
        losses.append(small_model.loss(views, boxes, valid)['loss'].item())
    assert losses[0] == losses[1] == losses[2]
    assert math.isfinite(losses[0])


def test_equal_networks_and_views_need_only_the_predictor(small_model):
    """With an ideal predictor the loss is its minimum, -8 for three views."""
    small_model.eval()
    small_model.head.predictor = torch.nn.Identity()
    views, boxes, valid = make_inputs(sizes=(64, 64, 64))
    views, boxes = [views[0]] * 3, [boxes[0]] * 3
    loss = small_model.loss(views, boxes, valid)['loss']
    assert loss.item() == pytest.approx(-8, abs=1e-4)


def test_gradients_reach_every_online_parameter_and_no_other(small_model):
    # The last batch norm of a block starts at 0, which stops gradients.
    for module in small_model.backbone.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)
    small_model.train()
    views, boxes, valid = make_inputs()
    small_model.loss(views, boxes, valid)['loss'].backward()
    for name, p in small_model.named_parameters():
        assert (p.grad is None) == name.startswith('target_net.'), name


def test_channels_last_and_contiguous_inputs_give_the_same(small_model):
    small_model.eval()
    views, boxes, valid = make_inputs()
    plain = small_model.loss(views, boxes, valid)['loss']
    views = [v.to(memory_format=torch.channels_last) for v in views]
    assert small_model.loss(views, boxes, valid)['loss'].item() == pytest.approx(
        plain.item(), abs=1e-4
    )


def test_loss_is_float32_under_mixed_precision(small_model):
    views, boxes, valid = make_inputs()
    plain = small_model.eval().loss(views, boxes, valid)['loss']
    with torch.autocast('cpu', torch.bfloat16):
        mixed = small_model.loss(views, boxes, valid)['loss']
    assert mixed.dtype == torch.float32
    assert mixed.item() == pytest.approx(plain.item(), abs=0.1)


def test_initialisation_makes_both_networks_equal_and_residuals_zero(small_model):
    small_model.init_weights()
    target = small_model.target_net.module.state_dict()
    for name, value in small_model.online_net.state_dict().items():
        assert torch.equal(value, target[name]), name
    for layer in (small_model.backbone.layer1, small_model.backbone.layer4):
        for block in layer:
            assert not block.bn2.weight.any()


def test_online_names_are_those_of_mmdetections_mask_rcnn(small_model):
    with DefaultScope.overwrite_default_scope('mmdet'):
        head = Shared4Conv1FCBBoxHead(
            in_channels=32,
            conv_out_channels=32,
            fc_out_channels=64,
            num_classes=3,
            norm_cfg=dict(type='BN'),
        )
    ours = small_model.roi_head.bbox_head.state_dict()
    theirs = {
        k: v.shape
        for k, v in head.state_dict().items()
        if not k.startswith(('fc_cls', 'fc_reg'))
    }
    assert {k: v.shape for k, v in ours.items()} == theirs


def test_the_floor_is_the_least_loss_of_a_constant_prediction(small_model):
    """Found by gradient descent over one constant for each of the terms."""
    head = small_model.head
    generator = torch.Generator().manual_seed(3)
    target = [
        torch.randn(3, 4, 8, generator=generator) + torch.arange(8.0) / 4
        for _ in range(3)
    ]
    valid = [torch.rand(3, 4, generator=generator) < 0.7 for _ in range(3)]
    valid[2][1] = False  # an image without a proposal in one pair
    constants = torch.randn(4, 8, generator=generator, requires_grad=True)
    optimizer = torch.optim.Adam([constants], lr=0.05)
    for _ in range(500):
        terms = iter(constants)
        loss = 0
        for j in (1, 2):
            for there in (j, 0):
                v = next(terms).expand_as(target[there])
                loss = loss + head.loss_module(v, target[there], valid[0] & valid[j])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    floor = head.loss_floor(target, valid, boxes=[])
    assert floor.item() == pytest.approx(loss.item(), abs=1e-4)
    assert -8 < floor.item() < -2


def test_the_floor_tells_equal_targets_from_opposed_ones(small_model):
    same = torch.ones(2, 3, 4)
    opposed = torch.stack([same[0], -same[0]])
    valid = [torch.ones(2, 3, dtype=torch.bool)] * 3
    floor = small_model.head.loss_floor
    assert floor([same] * 3, valid, []).item() == pytest.approx(-8)
    assert floor([opposed] * 3, valid, []).item() == pytest.approx(0)


def test_the_floor_is_logged_and_never_optimised(small_model):
    perturb_target(small_model.eval())
    views, boxes, valid = make_inputs()
    views = [
        (128 + 50 * view.permute(0, 2, 3, 1)).clamp(0, 255).byte() for view in views
    ]
    optim_wrapper = OptimWrapper(torch.optim.SGD(small_model.parameters(), lr=0.0))
    log = small_model.train_step(
        dict(views=views, boxes=boxes, valid=valid), optim_wrapper
    )
    logged = {
        name: p.grad for name, p in small_model.named_parameters() if p.grad is not None
    }
    assert set(log) == {'loss', 'loss_floor'}
    assert -8 <= log['loss_floor'] < 0
    assert not log['loss_floor'].requires_grad
    # The loss and its gradients, bit for bit those of Eq. 5 and 6 alone.
    data = small_model.data_preprocessor(
        dict(views=views, boxes=boxes, valid=valid), True
    )
    boxes = [
        fill_invalid(*each) for each in zip(data['boxes'], data['valid'], data['views'])
    ]
    online = [small_model.online_net(*each) for each in zip(data['views'], boxes)]
    with torch.no_grad():
        target = [small_model.target_net(*each) for each in zip(data['views'], boxes)]
    loss = small_model.head.loss(online, target, data['valid'], boxes)['loss']
    small_model.zero_grad()
    loss.backward()
    assert torch.equal(loss, log['loss'])
    for name, gradient in logged.items():
        assert torch.equal(gradient, small_model.get_parameter(name).grad), name


def test_extracted_features_are_what_the_head_projects(small_model):
    views, boxes, valid = make_inputs()
    small_model.eval()
    feats = small_model.extract_feat(views)
    objects = small_model.roi_head(feats, boxes[0])
    projected = small_model.projector([objects])[0]
    expected = small_model(views, boxes, valid, mode='tensor')[0]
    assert len(feats) > 1 and torch.equal(projected, expected.flatten(0, 1))


def test_fewer_than_two_views_are_refused(small_model):
    views, boxes, valid = make_inputs()
    with pytest.raises(ValueError, match='two or more views'):
        small_model.loss(views[:1], boxes[:1], valid[:1])
    with pytest.raises(ValueError, match='1 masks'):
        small_model.loss(views, boxes, valid[:1])
    with pytest.raises(RuntimeError, match='modes'):
        small_model(views, boxes, valid, mode='predict')


def test_image_without_valid_boxes_is_given_the_whole_view():
    boxes = torch.full((2, 2, 4), float('nan'))
    boxes[0, 1] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    valid = torch.tensor([[False, True], [False, False]])
    filled = fill_invalid(boxes, valid, torch.zeros(2, 3, 20, 30))
    assert filled[0].tolist() == [[1, 2, 3, 4]] * 2
    assert filled[1].tolist() == [[0, 0, 30, 20]] * 2


def test_batch_norm_sees_the_valid_boxes_equally_often():
    rng = torch.Generator().manual_seed(0)
    valid = torch.rand(200, 8, generator=rng) < 0.5
    boxes = torch.where(
        valid[..., None], torch.arange(8.0).view(1, 8, 1).expand(200, 8, 4), torch.nan
    )
    filled = fill_invalid(boxes, valid, torch.zeros(200, 3, 20, 20))
    assert torch.equal(filled[valid], boxes[valid])
    for mask, row in zip(valid[valid.any(1)], filled[valid.any(1)]):
        counts = torch.bincount(row[:, 0].long(), minlength=8)
        assert counts[~mask].sum() == 0
        assert counts[mask].max() - counts[mask].min() <= 1
