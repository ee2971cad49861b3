"""Annotated and predicted boxes side by side."""
import cv2
import numpy as np
import pytest

from soco_mm.visualization import object_colors
from soco_mm.visualization.detections import WIDTH, draw_detections

GREY = 90


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / 'a photo.png'
    cv2.imwrite(str(path), np.full((2 * WIDTH, 2 * WIDTH, 3), GREY, np.uint8))
    return dict(
        path=path,
        boxes=[(100, 100, 400, 600, 1)],
        found=np.float32([[100, 100, 500, 700], [600, 600, 900, 900]]),
        scores=np.float32([.9, .2]),
        labels=np.int64([1, 0]))


def lines(picture, color):
    """Where a colour is: left, top, right and bottom."""
    ys, xs = np.nonzero((picture == color).all(-1))
    return (xs.min(), ys.min(), xs.max(), ys.max()) if len(xs) else None


def test_both_sides_show_the_box_in_the_colour_of_its_class(sample):
    picture = draw_detections([sample], ['cell', 'rod'])
    half = picture.shape[1] // 2
    color = object_colors(2)[1]
    truth = lines(picture[:, :half], color)
    found = lines(picture[:, half:], color)
    # At half of its size; of the same box, so at the same place.
    assert truth[2] - truth[0] == pytest.approx(200, abs=3)
    assert truth[3] - truth[1] == pytest.approx(300, abs=3)
    assert np.abs(np.subtract(truth, found)[[1, 3]]).max() <= 1


def test_unlikely_predictions_are_not_drawn(sample):
    color = object_colors(2)[0]
    assert lines(draw_detections([sample], ['cell', 'rod']), color) is None
    assert lines(draw_detections([sample], ['cell', 'rod'], 0.1), color)


def test_images_without_boxes_are_shown(sample):
    sample.update(
        boxes=[],
        found=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        labels=np.zeros(0, np.int64))
    picture = draw_detections([sample, sample], ['cell', 'rod'])
    assert picture.shape[0] > 2 * WIDTH
    assert not any(
        lines(picture, color) for color in object_colors(2))
