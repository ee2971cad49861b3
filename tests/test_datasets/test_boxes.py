from collections import Counter

import numpy as np
import pytest

from soco_mm.datasets import BoxCutout, BoxJitter, SelectProposals
from soco_mm.datasets.transforms.per_view import per_view


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


def test_each_set_is_drawn_from_what_its_own_views_show():
    visible = [[1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 0, 1, 1, 1, 1],
               [1, 1, 1, 1, 0, 0]]
    drawn = Counter(), Counter()
    for seed in range(500):
        results = SelectProposals(2, [(0, 1, 3), (0, 2)])(
            sample(visible, seed))
        for boxes, valid in zip(results['boxes'], results['valid']):
            assert boxes.shape == (4, 4) and valid.shape == (4, )
        assert [each.tolist() for each in results['valid']
                ] == [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 0, 0]]
        # In all views a slot is the same object.
        first = results['boxes'][0][:, 0]
        for view in range(4):
            np.testing.assert_array_equal(results['boxes'][view][:, 0],
                                          first + view)
        drawn[0].update(first[:2].astype(int))
        drawn[1].update(first[2:].astype(int))
    assert set(drawn[0]) == {0, 1, 2} and set(drawn[1]) == {2, 3, 4, 5}


def test_a_set_without_a_visible_object_takes_the_view_and_leaves_the_others():
    results = SelectProposals(2, [(0, 1), (0, 2)])(
        sample([[1, 1], [0, 0], [1, 0]]))
    assert [each.tolist() for each in results['valid']
            ] == [[1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 1, 0]]
    assert results['boxes'][1][0].tolist() == [0, 0, 100, 100]
    assert results['boxes'][2][2].tolist() == [2, 2, 22, 22]


def test_a_set_of_one_view_is_refused():
    with pytest.raises(ValueError, match='two or more views'):
        SelectProposals(2, [(0, 1), (2, )])


def test_jitter_of_the_first_view_alone():
    first, second = jittered((0.5, 0.))
    original = np.float32([400, 300, 500, 350])
    assert abs((first != original).any(-1).mean() - .5) < .02
    assert (second == original).all()


def test_cutout_covers_its_share_inside_of_valid_boxes():
    box = np.float32([[20, 30, 120, 80], [130, 100, 190, 190]])
    share, covered = [], 0
    for seed in range(400):
        results = dict(
            views=[np.full((200, 200, 3), 7, np.uint8) for _ in range(3)],
            boxes=[box] * 3,
            valid=[np.array([True, False])] * 3,
            rng=np.random.default_rng(seed))
        views = BoxCutout((0., .5), (.1, .3))(results)['views']
        assert (views[0] == 7).all()
        for view in views[1:]:
            ys, xs = np.nonzero((view == BoxCutout.COLOR).all(-1))
            assert (view == 7).all(-1).sum() + len(ys) == 200 * 200
            if len(ys) == 0:
                continue
            covered += 1
            x1, y1, x2, y2 = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
            assert len(ys) == (x2 - x1) * (y2 - y1)  # a rectangle
            assert x1 >= 20 and y1 >= 30 and x2 <= 120 and y2 <= 80
            assert abs((x2 - x1) / (y2 - y1) - 2) < .3
            share.append(len(ys) / 5000)
    assert abs(covered / 800 - .5) < .06
    assert .08 < min(share) < .12 and .28 < max(share) < .32
    assert abs(np.mean(share) - .2) < .01


def test_probabilities_of_views_repeat_the_last():
    assert per_view(.3, 3) == [.3, .3, .3]
    assert per_view((1., .1), 4) == [1., .1, .1, .1]
    assert per_view([0., .2, .5], 3) == [0., .2, .5]
    with pytest.raises(ValueError, match='2 views'):
        per_view((1., .1, .1), 2)
