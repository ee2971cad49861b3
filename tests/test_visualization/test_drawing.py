import cv2
import numpy as np

from soco_mm.visualization import (DrawnView, draw_boxes, draw_dashed_box,
                                   draw_overview, draw_sample, draw_tag,
                                   draw_view, object_colors,
                                   write_png)


def test_lines_run_along_the_box_and_the_image_stays_as_it_is():
    image = np.zeros((60, 80, 3), np.uint8)
    drawn = draw_boxes(image, np.array([[10., 20., 50., 40.]]),
                       np.uint8([[255, 0, 0]]), 1)
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
            boxes=[np.float32([[0, 0, 40, 40]])] * 3) for number in (1, 30)
    ]
    overview = draw_overview(samples)
    write_png(tmp_path / 'name with spaces' / 'a.png', overview)
    read = cv2.imread(str(tmp_path / 'name with spaces' / 'a.png'))
    np.testing.assert_array_equal(read[..., ::-1], overview)
    half = overview.shape[0] // 2
    for row in (overview[:half], overview[half:]):
        assert (row == 20).all(-1).sum() > 2 * 150**2
        assert (row == (255, 220, 0)).all(-1).sum() > 300  # the object


def test_dashed_lines_have_gaps_and_lie_on_the_box():
    image = np.zeros((100, 120, 3), np.uint8)
    draw_dashed_box(image, np.array([10., 20., 90., 70.]), (255, 0, 0), 8, 6)
    ys, xs = np.nonzero(image[..., 0])
    assert abs(xs.min() - 10) <= 1 and abs(xs.max() - 89) <= 1
    assert abs(ys.min() - 20) <= 1 and abs(ys.max() - 69) <= 1
    share = (image[20, 10:90, 0] > 0).mean()
    assert .4 < share < .9
    changes = np.abs(np.diff((image[20, 10:90, 0] > 0).astype(int))).sum()
    assert changes >= 8


def test_tags_stay_inside_of_the_picture_at_their_corners():
    for corner in range(4):
        image = np.zeros((60, 80, 3), np.uint8)
        draw_tag(image, 'P5', np.array([0, 0, 80, 60]), (0, 255, 0), corner)
        ys, xs = np.nonzero(image[..., 1])
        assert (xs.min() == 0) == (corner % 2 == 0)
        assert (xs.max() == 79) == (corner % 2 == 1)
        assert (ys.min() == 0) == (corner < 2)
        assert (ys.max() == 59) == (corner >= 2)
    image = np.zeros((60, 80, 3), np.uint8)
    draw_tag(image, 'P5', np.array([78, 58, 80, 60]), (255, 255, 255))
    assert image[40:, 50:].any() and not image[:30].any()


def test_views_keep_their_sizes_and_objects_their_colours():
    boxes = np.float32([[10, 10, 60, 60], [30, 30, 90, 90], [10, 10, 60, 60]])
    valid = np.array([True, True, False])
    views = [
        DrawnView(
            np.zeros((size, size, 3), np.uint8), boxes * size / 224, valid,
            ['P3', 'P4', 'P3']) for size in (224, 112)
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
    assert 0 < (drawn == colors[1]).all(-1).sum() < .9 * solid
