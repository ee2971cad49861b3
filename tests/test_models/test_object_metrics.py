"""Retrieval and effective rank, against loops and NumPy."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from soco_mm.models.utils.batch_statistics import batch_statistics
from soco_mm.models.utils.object_metrics import (
    effective_rank,
    found_again,
    nearest_class,
    nearest_class_by_chance,
    same_objects,
)


def cosine(a, b):
    return float(a @ b) / float(np.sqrt((a @ a) * (b @ b)))


def random_features(number=40, channels=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(number, channels, generator=generator)


def test_found_again_is_a_loop_over_all_objects():
    queries, gallery = random_features(), random_features(seed=1)
    gallery = queries + 0.8 * gallery
    q, g = queries.double().numpy(), gallery.double().numpy()
    found = 0
    for i in range(len(q)):
        best = max(range(len(g)), key=lambda j: cosine(q[i], g[j]))
        found += best == i
    assert 0.2 < found / len(q) < 1
    assert found_again(queries, gallery) == pytest.approx(found / len(q))


def test_other_boxes_of_the_same_object_are_no_rivals():
    queries = torch.eye(3)
    gallery = torch.stack([queries[1], queries[0], queries[2]])
    assert found_again(queries, gallery) == pytest.approx(1 / 3)
    same = torch.zeros(3, 3, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    # The first two are taken for one another's object, and found by default.
    assert found_again(queries, gallery, same) == pytest.approx(1)


def test_equal_features_are_found_by_chance():
    assert found_again(torch.ones(50, 4), torch.ones(50, 4)) == pytest.approx(1 / 50)


def test_same_objects_overlap_on_one_image():
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 60, (30, 2))
    boxes = np.concatenate([start, start + rng.uniform(20, 40, (30, 2))], 1)
    images = rng.integers(0, 2, 30)
    expected = np.zeros((30, 30), bool)
    for i, a in enumerate(boxes):
        for j, b in enumerate(boxes):
            w = min(a[2], b[2]) - max(a[0], b[0])
            h = min(a[3], b[3]) - max(a[1], b[1])
            shared = max(w, 0) * max(h, 0)
            areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
            expected[i, j] = images[i] == images[j] and shared / (areas - shared) > 0.5
    found = same_objects(torch.tensor(boxes), torch.tensor(images))
    assert (found.numpy() == expected).all()
    assert 30 < expected.sum() < 200


def test_nearest_class_is_the_mean_over_classes():
    features = random_features(60)
    labels = torch.tensor([0] * 40 + [1] * 15 + [2] * 4 + [3])
    features[:, 0] += labels
    x, hits = features.double().numpy(), {}
    for i in range(len(x)):
        others = [j for j in range(len(x)) if j != i]
        best = max(others, key=lambda j: cosine(x[i], x[j]))
        hits.setdefault(int(labels[i]), []).append(labels[best] == labels[i])
    del hits[3]  # a single object cannot find one of its class
    expected = np.mean([np.mean(each) for each in hits.values()])
    assert nearest_class(features, labels) == pytest.approx(expected)
    assert np.isnan(nearest_class(features[:1], labels[:1]))


def test_chance_is_the_mean_of_random_neighbours():
    labels = torch.tensor([0] * 30 + [1] * 10)
    shares = [
        nearest_class(random_features(40, 8, seed), labels) for seed in range(300)
    ]
    chance = nearest_class_by_chance(labels)
    assert chance == pytest.approx((29 / 39 + 9 / 39) / 2)
    assert np.mean(shares) == pytest.approx(chance, abs=0.02)


def test_effective_rank_is_the_entropy_of_singular_values():
    features = random_features(30, 12).double().numpy() * np.arange(1, 13)
    values = np.linalg.svd(features - features.mean(0), compute_uv=False)
    p = values / values.sum()
    expected = np.exp(-(p * np.log(p)).sum())
    assert effective_rank(torch.tensor(features)) == pytest.approx(expected, rel=1e-5)
    line = torch.arange(9.0)[:, None] * torch.tensor([[1.0, -2.0, 0.5]]) + 3
    assert effective_rank(line) == pytest.approx(1, abs=1e-4)
    assert effective_rank(torch.full((9, 3), 0.1)) == 0


class Frozen(nn.Sequential):
    """Two batch norms and a dropout, of which the first norm is frozen."""

    def train(self, mode=True):
        super().train(mode)
        self[0].eval()
        return self


@pytest.mark.parametrize('norm', [nn.BatchNorm1d, nn.SyncBatchNorm])
@pytest.mark.parametrize('mode', [True, False])
def test_batch_statistics_are_used_and_nothing_changes(norm, mode):
    model = Frozen(norm(5), norm(5), nn.Dropout(0.5)).train(mode)
    for each in model[:2]:
        nn.init.uniform_(each.running_mean)
    before = copy.deepcopy(model.state_dict())
    x = random_features(20, 5) * 3 + 2
    with batch_statistics(model), torch.no_grad():
        y = model(x)
    frozen = (x - before['0.running_mean']) / (1 + 1e-5) ** 0.5
    mean, var = frozen.mean(0), frozen.var(0, correction=0)
    torch.testing.assert_close(y, (frozen - mean) / (var + 1e-5).sqrt())
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert model.training == mode and not model[0].training
