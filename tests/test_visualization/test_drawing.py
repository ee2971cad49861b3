import os

import cv2
import numpy as np
import pytest

from soco_mm.visualization import (
    DrawnView,
    draw_boxes,
    draw_dashed_box,
    draw_overview,
    draw_sample,
    draw_tags,
    draw_view,
    object_colors,
    place_tag,
    render_gallery,
    write_png,
)
from soco_mm.visualization.drawing import label


def test_lines_run_along_the_box_and_the_image_stays_as_it_is():
    image = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_boxes(
        image, np.array([[10.0, 20.0, 50.0, 40.0]]), np.uint8([[255, 0, 0]]), 1
    )
    assert not image.any()
    ys, xs = np.nonzero(drawn[..., 0] > 127)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (10, 20, 49, 39)
    assert not drawn[30, 30].any()


def test_colours_are_distinct():
    colors = object_colors(8).astype(int)
    distance = np.abs(colors[:, None] - colors[None]).sum(-1)
    assert distance[~np.eye(8, dtype=bool)].min() > 60


def test_overview_shows_every_image_with_all_its_views(tmp_path):
    samples = [
        dict(
            image=np.full((100, 150, 3), 10, np.uint8),
            proposals=np.float32([[0, 0, 50, 50]] * number),
            views=[np.full((s, s, 3), 20, np.uint8) for s in (224, 224, 112)],
            boxes=[np.float32([[0, 0, 9, 9], [0, 0, 40, 40]])] * 3,
            valid=np.array([[False, True], [False, True], [False, False]]),
        )
        for number in (1, 30)
    ]
    overview = draw_overview(samples)
    write_png(tmp_path / 'name with spaces' / 'a.png', overview)
    read = cv2.imread(str(tmp_path / 'name with spaces' / 'a.png'))
    np.testing.assert_array_equal(read[..., ::-1], overview)
    half = overview.shape[0] // 2
    for row in (overview[:half], overview[half:]):
        assert (row == 20).all(-1).sum() > 2 * 150**2
        # The object, where it counts.
        columns = np.flatnonzero((row == (255, 220, 0)).all(-1).any(0))
        assert columns.max() - columns.min() < 224 + 60
        assert (row == (255, 220, 0)).all(-1).sum() > 2 * 300


def test_dashed_lines_have_gaps_and_lie_on_the_box():
    image = np.zeros((100, 120, 3), np.uint8)
    draw_dashed_box(image, np.array([10.0, 20.0, 90.0, 70.0]), (255, 0, 0), 8, 6)
    ys, xs = np.nonzero(image[..., 0])
    assert abs(xs.min() - 10) <= 1 and abs(xs.max() - 89) <= 1
    assert abs(ys.min() - 20) <= 1 and abs(ys.max() - 69) <= 1
    share = (image[20, 10:90, 0] > 0).mean()
    assert 0.4 < share < 0.9
    changes = np.abs(np.diff((image[20, 10:90, 0] > 0).astype(int))).sum()
    assert changes >= 8


@pytest.mark.parametrize('side', [8, 13, 20, 34])
def test_a_small_dashed_box_has_gaps_and_corners_too(side):
    image = np.zeros((60, 60, 3), np.uint8)
    draw_dashed_box(image, np.array([10, 10, 10 + side, 10 + side]), (9, 9, 9))
    for edge in (image[10], image[9 + side], image[:, 10], image[:, 9 + side]):
        assert not edge[10 : 10 + side].any(-1).all()
    assert image[[10, 10, 9 + side, 9 + side], [10, 9 + side, 10, 9 + side]].all()


def test_tags_stay_inside_of_the_picture_at_their_corners():
    image = np.zeros((60, 80, 3), np.uint8)
    draw_tags(
        image, ['P5'] * 4, np.array([[0, 0, 80, 60]] * 4), np.uint8([[0, 255, 0]] * 4)
    )
    corners = (slice(0, 8), slice(-8, None))
    for rows in corners:
        for columns in corners:
            assert (image[rows, columns, 1] > 0).any()
    assert not image[25:35].any() and not image[:, 35:45].any()
    image = np.zeros((60, 80, 3), np.uint8)
    draw_tags(image, ['P5'], np.array([[78, 58, 80, 60]]), np.uint8([[255, 255, 255]]))
    assert image[40:, 50:].any() and not image[:30].any()


def test_tags_do_not_cover_small_boxes():
    image = np.zeros((100, 100, 3), np.uint8)
    for corner in range(4):
        for box in (
            [50, 50, 62, 58],
            [2, 2, 9, 9],
            [91, 90, 99, 100],
            [3, 60, 6, 99],
            [0, 30, 100, 36],
        ):
            rows, columns = place_tag(image, 'P2', np.array(box), corner)
            assert 0 <= rows.start < rows.stop <= 100
            assert 0 <= columns.start < columns.stop <= 100
            assert (
                rows.stop <= box[1]
                or rows.start >= box[3]
                or columns.stop <= box[0]
                or columns.start >= box[2]
            )


def test_tags_do_not_cover_each_other():
    # The fifth would be at the same corner as the first.
    boxes = np.array([[10, 10, 150, 150]] * 4 + [[10, 10, 90, 90]])
    colors = object_colors(5)
    image = np.zeros((200, 200, 3), np.uint8)
    draw_tags(image, ['P4'] * 5, boxes, colors)
    areas = [(image == color).all(-1).sum() for color in colors]
    alone = np.zeros_like(image)
    draw_tags(alone, ['P4'], boxes[:1], colors[:1])
    whole = (alone == colors[0]).all(-1).sum()
    assert min(areas) > 0.9 * whole


def test_views_keep_their_sizes_and_objects_their_colours():
    boxes = np.float32([[10, 10, 60, 60], [30, 30, 90, 90], [10, 10, 60, 60]])
    valid = np.array([True, True, False])
    views = [
        DrawnView(
            np.zeros((size, size, 3), np.uint8),
            boxes * size / 224,
            valid,
            ['P3', 'P4', 'P3'],
        )
        for size in (224, 112)
    ]
    picture = draw_sample(np.zeros((100, 150, 3), np.uint8), boxes, views)
    assert picture.shape[0] >= 448 + 20
    colors = object_colors(3)
    for view in views:
        drawn = draw_view(view, colors)
        assert drawn.shape[0] == 2 * view.image.shape[0]
        for color in colors[:2]:
            assert (drawn == color).all(-1).sum() > 100
        # The box that does not count lies below the same one that does.
        assert (drawn == colors[2]).all(-1).sum() == 0
    only = views[0]._replace(valid=np.array([False, False, True]))
    drawn = draw_view(only, colors)
    solid = (draw_view(views[0], colors) == colors[1]).all(-1).sum()
    assert 0 < (drawn == colors[1]).all(-1).sum() < 0.9 * solid


def test_objects_at_one_place_are_all_seen():
    boxes = np.float32([[20, 20, 80, 80]] * 3)
    view = DrawnView(np.zeros((100, 100, 3), np.uint8), boxes, np.ones(3, bool), [])
    colors = object_colors(3)
    drawn = draw_view(view, colors)
    for color in colors:
        assert (drawn == color).all(-1).sum() > 200


def test_an_object_has_one_colour_in_views_of_different_objects():
    views = [
        DrawnView(
            np.zeros((100, 100, 3), np.uint8),
            np.float32([[10 * k, 10 * k, 90, 90] for k in range(number)]),
            np.ones(number, bool),
            [],
        )
        for number in (2, 5)
    ]
    picture = draw_sample(np.zeros((100, 100, 3), np.uint8), views[0].boxes[:0], views)
    middle = picture.shape[1] - 203  # between the two views
    for k, color in enumerate(object_colors(5)):
        seen = (picture == color).all(-1)
        assert seen[:, :middle].any() == (k < 2) and seen[:, middle:].any()


def test_text_is_not_cut_above_narrow_pictures():
    view = DrawnView(
        np.zeros((20, 20, 3), np.uint8),
        np.float32([[2, 2, 9, 9]]),
        np.array([True]),
        ['P2'],
    )
    proposals = np.float32([[0, 0, 2, 100]] * 20)
    picture = draw_sample(np.zeros((900, 3, 3), np.uint8), proposals, [view])
    assert picture.shape[1] > 2 * 100
    assert (picture[:, -2:] == 255).all()  # no letter at the edge


def test_gallery_links_and_escapes():
    page = render_gallery(
        '<t>', 'a & b', [('1 <é>.png', '<i>', 'V1'), ('2.png', '"', 'V2')]
    )
    assert '<t>' not in page and '<i>' not in page and 'a &amp; b' in page
    assert 'src="1%20%3C%C3%A9%3E.png"' in page and 'alt="&#34;"' in page
    assert page.index('V1') < page.index('V2') < page.index('"2.png"')


def test_names_that_are_not_utf8_are_drawn():
    name, image = os.fsdecode(b'b\xe4ume.png'), np.full((40, 60, 3), 200, np.uint8)
    assert label(image, name).shape[0] == 60
    before = image.copy()
    draw_tags(image, [name], np.array([[2, 2, 50, 38]]), np.uint8([[9, 9, 9]]))
    assert (image != before).any()
