from collections import Counter

import numpy as np

from soco_mm.datasets import BoxJitter, SelectProposals


def sample(visible, seed=0, size=100):
    number = len(visible[0])
    corner = np.arange(number, dtype=np.float32)
    boxes = np.stack([corner, corner, corner + 20, corner + 20], 1)
    return dict(
        views=[np.zeros((size, size, 3), np.uint8) for _ in visible],
        boxes=[boxes + view for view in range(len(visible))],
        visible=[np.array(mask, bool) for mask in visible],
        rng=np.random.default_rng(seed))


def test_selection_is_uniform_without_repeats_among_the_visible_in_all_views():
    visible = [[1, 1, 1, 1, 1, 1, 0, 1], [1, 1, 0, 1, 1, 1, 1, 1]]
    drawn = Counter()
    for seed in range(3000):
        results = SelectProposals(4)(sample(visible, seed))
        first = results['boxes'][0][:, 0].astype(int)
        # Box k is the same object in all views.
        np.testing.assert_array_equal(results['boxes'][1][:, 0], first + 1)
        assert len(set(first)) == 4
        assert results['valid'][0].all() and results['valid'][1].all()
        drawn.update(first)
    assert set(drawn) == {0, 1, 3, 4, 5, 7}
    for number in drawn.values():
        assert abs(number / 3000 - 4 / 6) < 0.04


def test_fewer_than_k_are_repeated_in_invalid_slots():
    results = SelectProposals(4)(sample([[0, 1, 0, 1]] * 3))
    for boxes, valid in zip(results['boxes'], results['valid']):
        assert valid.tolist() == [True, True, False, False]
        np.testing.assert_array_equal(boxes[2:], boxes[:2])


def test_whole_view_stands_in_where_no_proposal_is_visible():
    results = SelectProposals(3)(sample([[1, 0], [0, 1]], size=64))
    for boxes, valid in zip(results['boxes'], results['valid']):
        assert valid.tolist() == [True, False, False]
        assert boxes[0].tolist() == [0, 0, 64, 64]


def jittered(prob, number=20000):
    boxes = np.tile(np.float32([400, 300, 500, 350]), (number, 1))
    results = dict(
        views=[np.zeros((1000, 1000, 3), np.uint8)] * 2,
        boxes=[boxes, boxes],
        rng=np.random.default_rng(0))
    return np.stack(BoxJitter(prob, 0.1)(results)['boxes'])


def test_jitter_has_the_papers_distribution():
    boxes = jittered(0.5).astype(np.float64)
    size = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., 2:] + boxes[..., :2]) / 2
    ratio = np.concatenate([(centre - (450, 325)) / (100, 50),
                            size / (100, 50) - 1], -1)
    changed = np.abs(ratio).max(-1) > 1e-6
    assert abs(changed.mean() - 0.5) < 0.01
    # Each view and each of x, y, w, h has its own number, uniform in +-0.1.
    ratio = ratio[:, changed.all(0)]
    assert np.abs(ratio).max() <= 0.1 + 1e-5
    flat = ratio.transpose(1, 0, 2).reshape(-1, 8)
    quantiles = np.quantile(flat, [.1, .25, .5, .75, .9], axis=0)
    expected = np.array([-.08, -.05, 0, .05, .08])[:, None]
    assert np.abs(quantiles - expected).max() < 0.005
    correlation = np.corrcoef(flat.T) - np.eye(8)
    assert np.abs(correlation).max() < 0.06


def test_jitter_clips_to_the_view_and_keeps_what_would_vanish():
    boxes = np.float32([[0, 0, 50, 50], [98.9, 0, 100, 50]])
    for seed in range(200):
        results = dict(
            views=[np.zeros((100, 100, 3), np.uint8)],
            boxes=[boxes],
            rng=np.random.default_rng(seed))
        out = BoxJitter(1.0, 0.1)(results)['boxes'][0]
        assert out.min() >= 0 and out.max() <= 100
        assert (out[:, 2:] - out[:, :2] >= 1).all()
    assert BoxJitter(0.)(results)['boxes'][0].dtype == np.float32


def test_no_jitter_with_probability_zero():
    assert (jittered(0., 10) == np.float32([400, 300, 500, 350])).all()
