import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soco_mm.coco.boxes import check_in_pixels, clip_box, reaches_out
from soco_mm.coco.structure import ObjectEntry
from soco_mm.utils import SoCoError

numbers = st.floats(-50, 250) | st.integers(-50, 250)


@given(numbers, numbers, numbers, numbers)
def test_boxes_are_clipped_as_arrays_are(x, y, w, h):
    found = clip_box((x, y, w, h), 200, 100)
    corners = np.clip([x, y, x + w, y + h], 0, [200, 100] * 2)
    sides = corners[2:] - corners[:2]
    if abs(sides.min() - 1) < 1e-9:
        return  # which side of the limit it is on is rounding
    assert (found is None) == (sides.min() < 1)
    if found:
        np.testing.assert_allclose(found, [*corners[:2], *sides], atol=1e-9)
        if x >= 0 and y >= 0 and x + w <= 200 and y + h <= 100:
            assert found == (x, y, w, h)  # to the last bit
        outside = not np.allclose(corners, [x, y, x + w, y + h], atol=1e-3)
        assert reaches_out((x, y, w, h), 200, 100) == outside


def check(boxes, areas=None, size=(160, 120)):
    areas = areas or [None] * len(boxes)
    check_in_pixels(
        'x.json',
        [
            ObjectEntry(number, 10 + number, 0, 0, tuple(box), area)
            for number, (box, area) in enumerate(zip(boxes, areas))
        ],
        [size],
    )


RIGHT = [
    (11, 9, 44, 26),
    (31, 26, 27, 47),
    (82, 58, 28, 31),
    (0, 0, 0, 0),
    (59, 86, 29, 30),
    (0, 0, 160, 120),
    (-5, 3, 20, 500),
    (0, 0, 1, 1),
]


def test_boxes_in_pixels_are_accepted():
    check(RIGHT)
    check(RIGHT, [w * h or None for _, _, w, h in RIGHT])
    check([])
    # One of very many is a mistake, and invisible.
    check(RIGHT * 20 + [(0.5, 0.5, 0.2, 0.2)])
    # By chance it could be two corners as well.
    check([(10, 10, 40, 50)], [2000])


@pytest.mark.parametrize(
    'fractions',
    [
        [(0.1, 0.2, 0.3, 0.4)],
        [(0, 0, 1, 0.5), (0.5, 0.5, 1, 1)],
        [(0.5, 0.5, 0.9, 0.9)] * 9,
    ],
)
def test_boxes_that_look_normalised_are_refused(fractions):
    with pytest.raises(
        SoCoError,
        match=rf'x.json: {len(fractions)} of {len(fractions) + 8} boxes '
        r'look normalised: annotation 0 \(id 10\).*of 160x120',
    ):
        check([*fractions, *RIGHT])


def test_boxes_that_look_like_corners_are_refused():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 100, (20, 2))
    high = low + rng.integers(5, 20, (20, 2))
    corners = np.concatenate([low, high], 1).tolist()
    with pytest.raises(
        SoCoError,
        match=r'20 of 20 boxes look like two corners x1, y1, x2, y2, and '
        r'\d+ reach out',
    ):
        check(corners)
    # In the upper left corner none reaches out.
    corners = [[each // 4 for each in box] for box in corners]
    corners = [box for box in corners if box[0] < box[2] and box[1] < box[3]]
    check(corners)
    areas = [(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in corners]
    with pytest.raises(SoCoError, match='their areas are those of corners'):
        check(corners, areas)
    check([(x1, y1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in corners], areas)


def test_an_odd_box_among_corners_changes_nothing():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 100, (100, 2))
    corners = np.concatenate([low, low + 15], 1).tolist()
    for odd in ([10, 10, 10, 30], [10, 10, 0, 30], [5, 5, 190, 30]):
        with pytest.raises(SoCoError, match='100 of 10[01] boxes look like'):
            check([*corners, odd])


@pytest.mark.parametrize('sloppy', [0, 3, 10])
def test_corners_of_boxes_that_were_drawn_beyond_the_edge_are_refused(sloppy):
    rng = np.random.default_rng(0)
    low = rng.integers(20, 90, (100, 2))
    corners = np.concatenate([low, low + 20], 1)
    corners[:sloppy, 2:] = (164, 124)  # of an image of 160x120
    with pytest.raises(SoCoError, match=f'{100 - sloppy} of 100 boxes look like'):
        check(corners.tolist())


def test_close_ups_are_no_corners():
    """Boxes that reach out by a pixel, or whose areas are noted."""
    check([(6, 4, 155, 117)] * 3)
    check([(6, 4, 164, 116)] * 3, [164 * 116] * 3)
    with pytest.raises(SoCoError, match='3 of 3 boxes look like two corners'):
        check([(9, 4, 158, 116)] * 3)
