"""Annotated and predicted objects side by side."""

import cv2
import numpy as np
import pytest

from soco_mm.visualization import object_colors
from soco_mm.visualization.detections import (
    OPACITY,
    SIDE,
    draw_detections,
    draw_objects,
)

GREY = 90


@pytest.fixture
def sample(tmp_path):
    path = tmp_path / 'a photo.png'
    cv2.imwrite(str(path), np.full((2 * SIDE, 2 * SIDE, 3), GREY, np.uint8))
    return dict(
        path=path,
        boxes=[(100, 100, 400, 600, 1)],
        found=np.float32([[100, 100, 500, 700], [600, 600, 900, 900]]),
        scores=np.float32([0.9, 0.2]),
        labels=np.int64([1, 0]),
    )


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


def test_where_all_predictions_are_unlikely_the_likeliest_are_drawn(sample):
    side = np.arange(100, 800, 100)
    sample.update(
        found=np.float32(np.stack([side, side, side + 50, side + 50], 1)),
        scores=np.float32([0.1, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07]),
        labels=np.int64([0] * 7),
    )
    half = draw_detections([sample], ['cell', 'rod'])
    half = half[:, half.shape[1] // 2 :]
    left, top, right, bottom = lines(half, object_colors(2)[0])
    # The first and the last, but not the second.
    assert bottom - top > 300
    corners = (half == object_colors(2)[0]).all(-1)
    # Above the image there is a gap and a label.
    rows = corners[26:].any(1)
    assert rows[50] and rows[350] and not rows[105:120].any()


def test_masks_are_filled_and_outlined_on_both_sides(sample):
    plain = draw_detections([sample], ['cell', 'rod'])
    mask = np.zeros((2 * SIDE, 2 * SIDE), bool)
    mask[200:400, 200:400] = True
    # Of the second, which is unlikely, nothing is drawn.
    sample.update(masks=[mask], found_masks=np.stack([mask, ~mask]))
    picture = draw_detections([sample], ['cell', 'rod'])
    changed = (picture != plain).any(-1)
    half = picture.shape[1] // 2
    color = object_colors(2)[1]
    blend = np.uint8((1 - OPACITY) * GREY + OPACITY * color.astype(float))
    for part in (slice(None, half), slice(half, None)):
        assert changed[:, part].sum() == 100 * 100
        filled = lines(picture[:, part], blend)
        assert filled[2] - filled[0] == filled[3] - filled[1] == 97


def test_high_images_fit_into_a_square_and_columns_are_aligned(sample, tmp_path):
    path = tmp_path / 'high.png'
    cv2.imwrite(str(path), np.full((1000, 250, 3), GREY, np.uint8))
    wide = draw_detections([sample], ['cell', 'rod'])
    high = draw_detections([dict(sample, path=path)], ['cell', 'rod'])
    assert high.shape == wide.shape
    # Below the labels, right of the annotated.
    first, second = (
        lines(each[32:, -SIDE - 2 :], (GREY,) * 3) for each in (wide, high)
    )
    assert first == (2, 0, SIDE + 1, SIDE - 1)
    assert second == (2, 0, SIDE // 4 + 1, SIDE - 1)


def test_images_without_boxes_are_shown(sample):
    sample.update(
        boxes=[],
        found=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        labels=np.zeros(0, np.int64),
    )
    picture = draw_detections([sample, sample], ['cell', 'rod'])
    assert picture.shape[0] > 2 * SIDE
    assert not any(lines(picture, color) for color in object_colors(2))


def test_deep_images_are_drawn_as_the_detector_reads_them(sample, tmp_path):
    path = tmp_path / 'float.tif'
    values = np.linspace(1000, 1001, (2 * SIDE) ** 2, dtype=np.float32)
    cv2.imwrite(str(path), values.reshape(2 * SIDE, 2 * SIDE))
    deep = dict(sample, path=path)
    half = draw_detections([deep], ['cell', 'rod'], stretch=(0, 100))[-SIDE:, :SIDE]
    assert half.max() == 255 and abs(np.median(half) - 127) < 20
    one = draw_objects([deep], ['cell', 'rod'], stretch=(0, 100))
    assert abs(np.median(one) - 127) < 20
    # What cannot be read is left out.
    both = draw_detections([deep, sample], ['cell', 'rod'])
    assert (both == draw_detections([sample], ['cell', 'rod'])).all()
    assert draw_detections([deep], ['cell', 'rod']).shape == (SIDE, SIDE, 3)


def test_annotated_objects_alone_are_drawn_in_rows(sample, tmp_path):
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no image')
    samples = [sample] * 4 + [dict(path=broken, boxes=[])]
    picture = draw_objects(samples, ['cell', 'rod'])
    one = draw_objects([sample], ['cell', 'rod'])
    assert picture.shape[0] > 2 * SIDE and picture.shape[1] > 3 * SIDE
    left, top, right, bottom = lines(one, object_colors(2)[1])
    assert (right - left, bottom - top) == (
        pytest.approx(200, abs=3),
        pytest.approx(300, abs=3),
    )
    # Names would hide many small objects.
    many = dict(sample, boxes=[(8 * n, 50, 4, 4, 1) for n in range(50)])
    pixels = [
        (draw_objects([each], ['cell', 'rod']) == object_colors(2)[1]).all(-1).sum()
        for each in (many, sample)
    ]
    assert pixels[0] < 50 * 8 * 8
