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
        rng=np.random.default_rng(seed),
    )


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
        rng=np.random.default_rng(0),
    )
    return np.stack(BoxJitter(prob, 0.1)(results)['boxes'])


def test_jitter_has_the_papers_distribution():
    boxes = jittered(0.5).astype(np.float64)
    size = boxes[..., 2:] - boxes[..., :2]
    centre = (boxes[..., 2:] + boxes[..., :2]) / 2
    ratio = np.concatenate(
        [(centre - (450, 325)) / (100, 50), size / (100, 50) - 1], -1
    )
    changed = np.abs(ratio).max(-1) > 1e-6
    assert abs(changed.mean() - 0.5) < 0.01
    # Each view and each of x, y, w, h has its own number, uniform in +-0.1.
    ratio = ratio[:, changed.all(0)]
    assert np.abs(ratio).max() <= 0.1 + 1e-5
    flat = ratio.transpose(1, 0, 2).reshape(-1, 8)
    quantiles = np.quantile(flat, [0.1, 0.25, 0.5, 0.75, 0.9], axis=0)
    expected = np.array([-0.08, -0.05, 0, 0.05, 0.08])[:, None]
    assert np.abs(quantiles - expected).max() < 0.005
    correlation = np.corrcoef(flat.T) - np.eye(8)
    assert np.abs(correlation).max() < 0.06


def test_jitter_clips_to_the_view_and_keeps_what_would_vanish():
    boxes = np.float32([[0, 0, 50, 50], [98.9, 0, 100, 50]])
    for seed in range(200):
        results = dict(
            views=[np.zeros((100, 100, 3), np.uint8)],
            boxes=[boxes],
            rng=np.random.default_rng(seed),
        )
        out = BoxJitter(1.0, 0.1)(results)['boxes'][0]
        assert out.min() >= 0 and out.max() <= 100
        assert (out[:, 2:] - out[:, :2] >= 1).all()
    assert BoxJitter(0.0)(results)['boxes'][0].dtype == np.float32


def test_no_jitter_with_probability_zero():
    assert (jittered(0.0, 10) == np.float32([400, 300, 500, 350])).all()


def test_each_set_is_drawn_from_what_its_own_views_show():
    visible = [
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 0, 0, 0],
        [0, 0, 1, 1, 1, 1],
        [1, 1, 1, 1, 0, 0],
    ]
    drawn = Counter(), Counter()
    for seed in range(500):
        results = SelectProposals(2, [(0, 1, 3), (0, 2)])(sample(visible, seed))
        for boxes, valid in zip(results['boxes'], results['valid']):
            assert boxes.shape == (4, 4) and valid.shape == (4,)
        assert [each.tolist() for each in results['valid']] == [
            [1, 1, 1, 1],
            [1, 1, 0, 0],
            [0, 0, 1, 1],
            [1, 1, 0, 0],
        ]
        # In all views a slot is the same object.
        first = results['boxes'][0][:, 0]
        for view in range(4):
            np.testing.assert_array_equal(results['boxes'][view][:, 0], first + view)
        drawn[0].update(first[:2].astype(int))
        drawn[1].update(first[2:].astype(int))
    assert set(drawn[0]) == {0, 1, 2} and set(drawn[1]) == {2, 3, 4, 5}


def test_a_set_without_a_visible_object_takes_the_view_and_leaves_the_others():
    results = SelectProposals(2, [(0, 1), (0, 2)])(sample([[1, 1], [0, 0], [1, 0]]))
    assert [each.tolist() for each in results['valid']] == [
        [1, 0, 1, 0],
        [1, 0, 0, 0],
        [0, 0, 1, 0],
    ]
    assert results['boxes'][1][0].tolist() == [0, 0, 100, 100]
    assert results['boxes'][2][2].tolist() == [2, 2, 22, 22]


def test_a_set_of_one_view_is_refused():
    with pytest.raises(ValueError, match='two or more views'):
        SelectProposals(2, [(0, 1), (2,)])


def test_jitter_of_the_first_view_alone():
    first, second = jittered((0.5, 0.0))
    original = np.float32([400, 300, 500, 350])
    assert abs((first != original).any(-1).mean() - 0.5) < 0.02
    assert (second == original).all()


def cut(box, valid=True, side=400, seed=0):
    """The square that covers a part of a box: x1, y1, x2, y2, or None."""
    results = dict(
        views=[np.full((side, side, 3), 7, np.uint8) for _ in range(2)],
        boxes=[np.float32([box])] * 2,
        valid=[np.array([valid])] * 2,
        rng=np.random.default_rng(seed),
    )
    first, second = BoxCutout((0.0, 0.5), (0.1, 0.3))(results)['views']
    assert (first == 7).all()
    ys, xs = np.nonzero((second == BoxCutout.COLOR).all(-1))
    assert (second == 7).all(-1).sum() + len(ys) == side * side
    if len(ys):
        square = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
        assert len(ys) == (square[2] - square[0]) * (square[3] - square[1])
        return square
    return None


def test_cutouts_have_the_mean_colour_of_imagenet():
    mean = np.array([0.485, 0.456, 0.406]) * 255
    assert np.abs(np.array(BoxCutout.COLOR) - mean).max() <= 0.6


@pytest.fixture(scope='module')
def squares():
    """The squares cut out of a box of 100 x 50 pixels in 3000 views."""
    return [cut((30, 30, 130, 80), side=160, seed=seed) for seed in range(3000)]


def test_cutout_is_a_square_of_its_share_of_the_box(squares):
    """As released: side sqrt(U(.1, .3) w h)."""
    found = np.array([square for square in squares if square])
    assert abs(len(found) / 3000 - 0.5) < 0.04
    size = found[:, 2:] - found[:, :2]
    assert (size[:, 0] == size[:, 1]).all()
    share = size[:, 0] ** 2 / 5000
    assert 0.08 < share.min() < 0.12 and 0.28 < share.max() < 0.32
    quantiles = np.quantile(share, [0.25, 0.5, 0.75])
    assert np.abs(quantiles - [0.15, 0.2, 0.25]).max() < 0.015


def test_the_centre_of_a_cutout_is_uniform_in_the_box_and_it_may_reach_out(squares):
    found = np.array([square for square in squares if square])
    centre = (found[:, 2:] + found[:, :2]) / 2
    place = (centre - (30, 30)) / (100, 50)
    quantiles = np.quantile(place, [0.1, 0.25, 0.5, 0.75, 0.9], axis=0)
    expected = np.array([0.1, 0.25, 0.5, 0.75, 0.9])[:, None]
    assert np.abs(quantiles - expected).max() < 0.04
    outside = (found[:, :2] < (30, 30)).any(1)
    outside |= (found[:, 2:] > (130, 80)).any(1)
    assert 0.3 < outside.mean() < 0.9


@pytest.mark.parametrize('box', [(0, 0, 60, 60), (340, 340, 400, 400)])
def test_a_cutout_ends_at_the_border_of_the_view(box):
    squares = [cut(box, seed=seed) for seed in range(200)]
    found = np.array([square for square in squares if square])
    size = found[:, 2:] - found[:, :2]
    assert found.min() >= 0 and found.max() <= 400 and (size > 0).all()
    touching = (found == (0 if box[0] == 0 else 400)).any(1)
    assert 0.2 < touching.mean() < 0.8


def test_only_boxes_in_use_are_cut():
    assert not any(
        cut((150, 180, 250, 230), valid=False, seed=seed) for seed in range(50)
    )


def test_released_jitter_moves_the_top_left_corner_then_the_size():
    boxes = np.tile(np.float32([400, 300, 500, 350]), (20000, 1))
    results = dict(
        views=[np.zeros((1000, 1000, 3), np.uint8)],
        boxes=[boxes],
        rng=np.random.default_rng(0),
    )
    out = BoxJitter(0.5, 0.1, anchor='corner')(results)['boxes'][0].astype(float)
    moved = (out[:, :2] - (400, 300)) / (100, 50)
    grown = (out[:, 2:] - out[:, :2]) / (100, 50) - 1
    ratio = np.concatenate([moved, grown], -1)
    changed = np.abs(ratio).max(-1) > 1e-6
    assert abs(changed.mean() - 0.5) < 0.02
    ratio = ratio[changed]
    assert np.abs(ratio).max() <= 0.1 + 1e-5
    quantiles = np.quantile(ratio, [0.1, 0.25, 0.5, 0.75, 0.9], axis=0)
    expected = np.array([-0.08, -0.05, 0, 0.05, 0.08])[:, None]
    assert np.abs(quantiles - expected).max() < 0.005
    # The corner and the size are independent; the centre is not.
    assert np.abs(np.corrcoef(ratio.T) - np.eye(4)).max() < 0.05


def test_another_anchor_is_refused():
    with pytest.raises(ValueError, match='"centre" or "corner"'):
        BoxJitter(anchor='left')


def test_probabilities_of_views_repeat_the_last():
    assert per_view(0.3, 3) == [0.3, 0.3, 0.3]
    assert per_view((1.0, 0.1), 4) == [1.0, 0.1, 0.1, 0.1]
    assert per_view([0.0, 0.2, 0.5], 3) == [0.0, 0.2, 0.5]
    with pytest.raises(ValueError, match='2 views'):
        per_view((1.0, 0.1, 0.1), 2)
