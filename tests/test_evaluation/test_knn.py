import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier
from torch.nn.functional import normalize

from soco_mm.evaluation import knn, knn_scores


@pytest.fixture
def features():
    """Three overlapping clusters: 90 images that vote, 40 to classify."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(3, 16, generator=generator)
    labels = torch.arange(130) % 3
    values = centres[labels] + 2 * torch.randn(130, 16, generator=generator)
    values = normalize(values)
    return values[:90], labels[:90], values[90:], labels[90:]


def test_scores_are_those_of_the_formula(features):
    train, labels, val, _ = features
    scores = knn_scores(train, labels, val, num_classes=4, k=7)
    for i, image in enumerate(val.tolist()):
        similarities = [
            sum(a * b for a, b in zip(image, other)) for other in train.tolist()
        ]
        nearest = sorted(range(90), key=lambda j: -similarities[j])[:7]
        expected = [0.0] * 4
        for j in nearest:
            expected[labels[j]] += math.exp(similarities[j] / 0.07)
        assert scores[i].tolist() == pytest.approx(expected, rel=1e-4)
    assert (scores[:, 3] == 0).all()


@pytest.mark.parametrize('k', [1, 20, 90])
def test_votes_are_those_of_scikit_learn(features, k):
    train, labels, val, truth = features
    scores = knn_scores(train, labels, val, num_classes=3, k=k)
    reference = KNeighborsClassifier(
        k,
        metric='cosine',
        algorithm='brute',
        weights=lambda distances: np.exp((1 - distances) / 0.07),
    )
    reference.fit(train.numpy(), labels.numpy())
    expected = reference.predict_proba(val.numpy())
    ours = scores / scores.sum(1, keepdim=True)
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-4)
    assert 0.5 < (scores.argmax(1) == truth).float().mean() < 1


def test_scores_do_not_depend_on_the_chunks(features, monkeypatch):
    train, labels, val, _ = features
    whole = knn_scores(train, labels, val, num_classes=3)
    for limit in (1, 90 * 7):
        monkeypatch.setattr(knn, 'MAX_SIMILARITIES', limit)
        scores = knn_scores(train, labels, val, num_classes=3)
        torch.testing.assert_close(scores, whole, rtol=1e-4, atol=0.0)
