import cv2
import numpy as np

from soco_mm.visualization import (draw_boxes, draw_overview, object_colors,
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
