"""The figures of a training's health, against plain formulas."""

import numpy as np
import pytest
import torch

from soco_mm.models.algorithms.soco import fill_invalid
from soco_mm.models.roi_heads import ScaleAwareRoIExtractor
from soco_mm.models.utils.health_figures import (
    BoxCount,
    FeatureWatch,
    movement,
    weight_samples,
)
from soco_mm.models.utils.object_metrics import pair_cosines, relative_spread


def rank(features):
    values = np.linalg.svd(features - features.mean(0), compute_uv=False)
    p = values[values > 1e-9] / values.sum()
    return np.exp(-(p * np.log(p)).sum())


def unit(features):
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def make_batch(images=6, objects=3):
    torch.manual_seed(1)
    views = [torch.rand(images, 3, size, size) for size in (64, 64, 32)]
    boxes = [
        torch.tensor([0.1, 0.2, 0.6, 0.8]) * view.shape[-1]
        + torch.rand(images, objects, 4) * view.shape[-1] * 0.2
        for view in views
    ]
    valid = [torch.rand(images, objects) < 0.7 for _ in views]
    return views, boxes, valid


def test_features_of_the_step_are_those_that_the_model_computes(small_model):
    views, boxes, valid = make_batch()
    watch = FeatureWatch(small_model)
    small_model(views, boxes, valid, mode='loss')
    watch.close()
    found = watch.measure(valid)

    both = (valid[0] & valid[1]).flatten().numpy()
    assert 4 < both.sum() < both.size  # some objects are masked
    head, z = [], []
    with torch.no_grad():
        c5 = small_model.backbone(views[0])[-1].double().mean((2, 3)).numpy()
        for view, box, mask in zip(views[:2], boxes, valid):
            box = fill_invalid(box, mask, view)  # as batch norm sees them
            h = small_model.roi_head(small_model.extract_feat([view]), box)
            head.append(h.double().numpy()[both])
            z.append(small_model.projector([h])[0].double().numpy()[both])
    assert found['objects'] == both.sum()
    assert found['effective_rank_head'] == pytest.approx(rank(head[0]), rel=1e-3)
    assert found['effective_rank_projections'] == pytest.approx(rank(z[0]), rel=1e-3)
    assert found['effective_rank_backbone'] == pytest.approx(rank(c5), rel=1e-3)
    spread = unit(z[0]).std(0).mean() * np.sqrt(z[0].shape[1])
    assert found['spread_projections'] == pytest.approx(spread, rel=1e-4)
    images = np.arange(both.size)[both] // valid[0].shape[1]
    cosine = unit(z[0]) @ unit(z[1]).T
    apart = images[:, None] != images[None]
    assert found['cosine_positive'] == pytest.approx(np.diag(cosine).mean(), abs=1e-5)
    assert found['cosine_random'] == pytest.approx(cosine[apart].mean(), abs=1e-5)
    # Nothing is left in the model.
    assert not small_model.backbone._forward_hooks
    assert not small_model.projector._forward_hooks


def test_spread_is_one_on_the_sphere_and_zero_in_a_point():
    torch.manual_seed(0)
    assert relative_spread(torch.randn(2000, 128)) == pytest.approx(1, abs=0.02)
    assert relative_spread(torch.randn(1, 128).expand(50, -1) * 3) < 1e-6
    positive, others = pair_cosines(torch.eye(2), torch.eye(2), torch.tensor([0, 0]))
    assert positive == 1 and np.isnan(others)  # no other image


def test_movement_is_that_of_all_values(small_model):
    start = weight_samples(small_model)
    assert start.numel() * start.element_size() < 2e6
    before = {name: value.clone() for name, value in small_model.named_parameters()}
    assert movement(small_model, start)['movement_weights']['neck'] == 0
    torch.manual_seed(0)
    with torch.no_grad():
        for name, value in small_model.named_parameters():
            moved = 0.1 if name.startswith('neck') else 0.02
            value += moved * torch.rand(()) * torch.randn_like(value)
    found = movement(small_model, start)
    assert set(found['movement_weights']) == {
        'backbone', 'neck', 'head', 'projector', 'predictor'
    }  # fmt: skip
    names = dict(backbone='backbone.', neck='neck.', head='roi_head.',
                 projector='projector.', predictor='head.predictor.')  # fmt: skip
    for kind, is_weight in (('movement_weights', True), ('movement_biases', False)):
        for part, prefix in names.items():
            both = [
                (before[name].detach(), value.detach())
                for name, value in small_model.named_parameters()
                if name.startswith(prefix) and (value.dim() > 1) == is_weight
            ]
            moved = sum((new - old).square().sum() for old, new in both) ** 0.5
            norm = sum(old.square().sum() for old, _ in both) ** 0.5
            # Of vectors all values are kept.
            tolerance = 0.05 if is_weight else 1e-4
            assert found[kind][part] == pytest.approx(
                float(moved / norm), rel=tolerance
            )


def test_frozen_parts_are_not_counted_as_parts_that_do_not_move(small_model):
    small_model.backbone.requires_grad_(False)
    found = movement(small_model, weight_samples(small_model))
    assert 'backbone' not in found['movement_weights']


def test_boxes_are_counted_over_all_steps(small_model):
    extractor = small_model.roi_head.bbox_roi_extractor
    count = BoxCount(extractor)
    masked, levels, slots = 0, [0] * 4, 0
    for images in (2, 5):
        _, boxes, valid = make_batch(images)
        count.add([4 * box for box in boxes], valid)
        for n, k in np.ndindex(*valid[0].shape):
            seen = [bool(mask[n, k]) for mask in valid]
            slots += 1
            masked += not (seen[0] and any(seen[1:]))
            for box in (each for each, there in zip(boxes, seen) if there):
                x1, y1, x2, y2 = (4 * box[n, k]).tolist()
                scale = (max(0, x2 - x1) * max(0, y2 - y1)) ** 0.5
                levels[sum(scale > bound for bound in (48, 96, 192))] += 1
    found = count.pop()
    assert found['masked_share'] == pytest.approx(masked / slots) and masked
    shares = [each / sum(levels) for each in levels]
    assert list(found['boxes_by_level']) == ['P2', 'P3', 'P4', 'P5']
    assert list(found['boxes_by_level'].values()) == pytest.approx(shares)
    assert sum(share > 0 for share in shares) > 1


@pytest.mark.parametrize(
    'strides, names',
    [((8, 16, 32, 64, 128), ['P3', 'P4', 'P5', 'P6', 'P7']), ((16,), ['P4'])],
)
def test_levels_have_the_names_of_their_strides(strides, names):
    bounds = [2.0 * stride for stride in strides]
    count = BoxCount(ScaleAwareRoIExtractor(strides, bounds))
    count.add(*make_batch()[1:])
    assert list(count.pop()['boxes_by_level']) == names
