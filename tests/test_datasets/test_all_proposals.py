"""The whole view as an object, and all proposals of a view beside those drawn."""

import numpy as np
import pytest

from soco_mm.datasets import ConstructViews, PackViews, SelectProposals, ViewRandomFlip

PROPOSALS = np.float32(
    [[0, 0, 40, 40], [50, 50, 90, 90], [10, 60, 40, 99], [0, 0, 100, 100]]
)


def make_sample(seed=0, proposals=PROPOSALS, flip=0.0, **select):
    results = dict(
        image=np.zeros((100, 100, 3), np.uint8),
        proposals=proposals,
        rng=np.random.default_rng(seed),
    )
    crop = dict(size=50, source=0, crop_scale=(0.3, 0.5))
    steps = [
        ConstructViews([dict(size=200), crop]),
        SelectProposals(**select),
        ViewRandomFlip(flip),
        PackViews(),
    ]
    for step in steps:
        results = step(results)
    return results


def test_the_whole_view_is_one_more_object_in_every_view():
    sample = make_sample(num_proposals=2, whole_view=True)
    plain = make_sample(num_proposals=2)
    for view, size in enumerate((200, 50)):
        assert sample['boxes'][view].shape == (3, 4)
        assert sample['boxes'][view][:2].equal(plain['boxes'][view])
        assert sample['boxes'][view][2].tolist() == [0, 0, size, size]
        assert sample['valid'][view].tolist() == [*plain['valid'][view].tolist(), True]


def test_without_a_proposal_the_whole_view_is_the_only_object():
    none = np.zeros((0, 4), np.float32)
    sample = make_sample(proposals=none, num_proposals=2, whole_view=True)
    assert sample['valid'][0].tolist() == [False, False, True]


def test_all_visible_proposals_of_each_view_follow_crops_and_flips():
    for seed in range(4):
        sample = make_sample(seed, max_proposals=6)
        flipped = make_sample(seed, max_proposals=6, flip=1.0)
        assert sample['num_proposals'][0] == 4
        assert sample['proposals'][0][:4].tolist() == (PROPOSALS * 2).tolist()
        for view, size in enumerate((200, 50)):
            number = sample['num_proposals'][view]
            assert number >= 1 and not sample['proposals'][view][number:].any()
            kept = sample['proposals'][view][:number]
            assert ((kept[:, 2:] - kept[:, :2]) >= 1).all()
            mirrored = flipped['proposals'][view][:number]
            assert mirrored[:, [0, 2]].equal(size - kept[:, [2, 0]])
    few = make_sample(max_proposals=2)
    assert few['proposals'][0].shape == (2, 4) and few['num_proposals'][0] == 2
    rows = {tuple(box) for box in (PROPOSALS * 2).tolist()}
    assert {tuple(box) for box in few['proposals'][0].tolist()} < rows


@pytest.mark.parametrize('options', [dict(whole_view=True), dict(max_proposals=9)])
def test_what_is_added_does_not_change_what_is_drawn(options):
    plain, more = make_sample(num_proposals=2), make_sample(num_proposals=2, **options)
    assert 'proposals' not in plain
    for view in (0, 1):
        assert more['boxes'][view][:2].equal(plain['boxes'][view])
