import os
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from soco_mm.proposals import (
    RandomBoxes,
    SelectiveSearch,
    WholeImage,
    build_settings,
    generate,
    generate_proposals,
)
from soco_mm.utils import read_image


def test_selective_search_finds_a_plain_object_whatever_was_done_before(demo_images):
    image = np.zeros((150, 200, 3), np.uint8)
    image[40:100, 60:140] = (200, 40, 40)
    search = SelectiveSearch()
    boxes = search(image)
    assert np.abs(boxes - [60, 40, 140, 100]).max(1).min() <= 2
    search(read_image(demo_images / 'coffee.jpg'))
    np.testing.assert_array_equal(search(image), boxes)


def test_large_images_are_reduced_and_boxes_are_in_their_own_pixels():
    image = np.zeros((1500, 2000, 3), np.uint8)
    image[400:1000, 600:1400] = (200, 40, 40)
    boxes = SelectiveSearch(max_side=200)(image)
    assert np.abs(boxes - [600, 400, 1400, 1000]).max(1).min() <= 20


@pytest.mark.parametrize(
    'settings',
    [
        dict(color_space='gray'),
        dict(color_space='lab'),
        dict(color_space='rgb', similarities=['color']),
        dict(similarities=['size', 'fill']),
    ],
)
def test_other_spaces_and_similarities_find_other_boxes(demo_images, settings):
    image = read_image(demo_images / 'chelsea.jpg')
    boxes = SelectiveSearch(**settings)(image)
    assert len(boxes) > 20
    assert not np.array_equal(boxes, SelectiveSearch()(image))


def test_four_similarities_are_opencvs_strategy_of_all(demo_images):
    image = read_image(demo_images / 'chelsea.jpg')
    found = SelectiveSearch()(image)
    segmentation = cv2.ximgproc.segmentation
    search = segmentation.createSelectiveSearchSegmentation()
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    search.setBaseImage(hsv)
    search.addImage(hsv)
    search.addGraphSegmentation(segmentation.createGraphSegmentation(0.9, 500, 10))
    each = [
        getattr(segmentation, f'createSelectiveSearchSegmentationStrategy{name}')()
        for name in ('Color', 'Fill', 'Texture', 'Size')
    ]
    search.addStrategy(
        segmentation.createSelectiveSearchSegmentationStrategyMultiple(*each)
    )
    expected = {(x, y, x + w, y + h) for x, y, w, h in search.process()}
    assert {tuple(box) for box in found.astype(int).tolist()} == expected


@pytest.mark.parametrize('height, width', [(300, 400), (40, 900)])
def test_random_boxes_have_the_shapes_and_sizes_asked_for(height, width):
    image = np.zeros((height, width, 3), np.uint8)
    boxes = RandomBoxes(500, 3, (0.3, 0.8))(image, np.random.default_rng(0))
    assert len(boxes) == 500
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2:] <= [width, height]).all()
    w, h = (boxes[:, 2:] - boxes[:, :2]).T
    assert (w > 0).all() and (h > 0).all()
    if width < 2 * height:  # in a long image they are cut
        relative = np.sqrt(w * h / (width * height))
        assert 0.3 - 1e-4 <= relative.min() < 0.32 and relative.max() <= 0.8001
        assert 2.7 < (w / h).max() < 3.001 and 0.333 < (w / h).min() < 0.37
        assert abs(np.log(w / h).mean()) < 0.15
        centres = (boxes[:, :2] + boxes[:, 2:]).mean(0) / 2
        np.testing.assert_allclose(centres, [200, 150], atol=10)


def test_whole_image_is_the_only_box():
    image = np.zeros((20, 30, 3), np.uint8)
    assert WholeImage()(image, None).tolist() == [[0, 0, 30, 20]]


# Registered where worker processes find it by its import path.
FAILING = """
import os, time
import numpy as np

class FailingGenerator:
    def __call__(self, image, rng):
        kind = image.shape[:2]
        if kind == (300, 451):  # chelsea.jpg
            os.abort()
        if kind == (400, 600):  # coffee.jpg
            time.sleep(600)
        if kind == (512, 512):  # astronaut.jpg
            os.kill(os.getpid(), 9)
        if kind == (427, 640):  # rocket.jpg
            raise RuntimeError('no luck')
        return np.float32([[0, 0, image.shape[1] / 2, image.shape[0] / 2]])
"""


def test_a_crash_a_hang_and_a_kill_cost_their_images_alone(
    demo_images, tmp_path, monkeypatch
):
    (tmp_path / 'failing_generator.py').write_text(FAILING)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    paths = sorted(os.listdir(demo_images))
    settings = build_settings(method='failing_generator.FailingGenerator', timeout=1)
    results = {r.path: r for r in generate_proposals(demo_images, paths, settings, 2)}
    assert sorted(results) == paths
    shapes = {path: read_image(demo_images / path).shape[:2] for path in paths}
    reasons = {
        (300, 451): 'the generator crashed or was killed (SIGABRT)',
        (400, 600): 'the generator took longer than 1 s',
        (512, 512): 'the generator crashed or was killed (SIGKILL, perhaps for memory)',
        (427, 640): 'the generator failed (no luck)',
    }
    met = 0
    for path, result in results.items():
        height, width = shapes[path]
        reason = reasons.get((height, width))
        assert result.failure == reason
        met += reason is not None
        scale = 1 if reason else 2
        assert result.boxes.tolist() == [[0, 0, width / scale, height / scale]]
    assert met == 4


def test_the_time_that_a_process_was_suspended_is_not_an_images(
    demo_images, tmp_path, monkeypatch
):
    program = 'from soco_mm.proposals import WholeImage\nimport time\n\n\n'
    program += 'class SlowGenerator(WholeImage):\n    def __call__(self, *args):\n'
    program += '        time.sleep(3)\n        return super().__call__(*args)\n'
    (tmp_path / 'slow_generator.py').write_text(program)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    calls, lost = [], [0]

    def wait_suspended(pipes, timeout):
        """Once 100 s pass, after the worker has been given its image."""
        if calls == ['given']:
            calls.append('suspended')
            lost[0] += 100
            return []
        ready = wait(pipes, timeout)
        if ready and not calls:
            calls.append('given')
        return ready

    wait, clock = (
        generate.wait,
        SimpleNamespace(monotonic=lambda: time.monotonic() + lost[0]),
    )
    monkeypatch.setattr(generate, 'wait', wait_suspended)
    monkeypatch.setattr(generate, 'time', clock)
    settings = build_settings(method='slow_generator.SlowGenerator', timeout=60)
    path = min(os.listdir(demo_images))
    for most, failure in ((5, None), (1000, 'the generator took longer than 60 s')):
        calls.clear()
        monkeypatch.setattr(generate, 'SUSPENDED', most)
        (result,) = generate.generate_proposals(demo_images, [path], settings)
        assert result.failure == failure


def test_what_is_random_depends_on_seed_and_path_alone(demo_images):
    paths = sorted(os.listdir(demo_images))

    def boxes(order, workers, **settings):
        made = generate_proposals(
            demo_images, order, build_settings(**settings), workers
        )
        return {r.path: r.boxes.tolist() for r in made}

    once = boxes(paths, 2, method='random', max_boxes=5)
    assert once == boxes(paths[::-1], 1, method='random', max_boxes=5)
    assert once != boxes(paths, 2, method='random', max_boxes=5, seed=1)
    assert all(len(each) == 5 for each in once.values())
    first, second = once[paths[0]], once[paths[1]]
    assert first != second


def test_no_more_boxes_are_kept_than_asked_for(demo_images):
    paths = ['coffee.jpg']
    (all_boxes,) = generate_proposals(demo_images, paths, build_settings())
    (few,) = generate_proposals(demo_images, paths, build_settings(max_boxes=3))
    assert len(few.boxes) == 3 < len(all_boxes.boxes)
    assert {tuple(b) for b in few.boxes} < {tuple(b) for b in all_boxes.boxes}
