import json

import cv2
import numpy as np
import pytest

from soco_mm.cli import main
from soco_mm.proposals import (
    EdgeBoxes,
    RandomBoxes,
    SelectiveSearch,
    Union,
    build_settings,
    generate_proposals,
)
from soco_mm.proposals.edge_boxes import gradient_edges
from soco_mm.proposals.recall import overlaps
from soco_mm.registry import PROPOSALS
from soco_mm.utils import read_image

SQUARE = np.array([[30, 40, 110, 100]])


@pytest.fixture
def square():
    """A bright rectangle on a dark ground, with a little noise."""
    noise = np.random.default_rng(0).integers(0, 4, (150, 200, 3))
    image = np.full((150, 200, 3), 40) + noise
    image[40:100, 30:110] += 150
    return image.astype(np.uint8)


def test_a_closed_contour_is_found(square):
    boxes = EdgeBoxes()(square)
    assert boxes.dtype == np.float32 and len(boxes)
    assert overlaps(SQUARE, boxes).max() > 0.85


def test_boxes_are_in_pixels_of_the_whole_image(square):
    large = cv2.resize(square, None, fx=4, fy=4)
    boxes = EdgeBoxes(max_side=100)(large)
    assert overlaps(4 * SQUARE, boxes).max() > 0.7


def test_limits_are_kept(square):
    assert len(EdgeBoxes(num_boxes=7)(square)) <= 7
    sides = np.diff(EdgeBoxes(max_aspect=1.5)(square).reshape(-1, 2, 2), axis=1)[:, 0]
    assert len(sides) and (np.maximum(*(sides.T / sides[:, ::-1].T)) < 1.6).all()
    least = EdgeBoxes(min_size=3000)(square)
    assert len(least) and ((least[:, 2:] - least[:, :2]).prod(1) >= 3000).all()


def test_edges_lie_where_the_image_changes_and_point_across_it():
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 40:] = 200  # a vertical edge: across it is along x
    edges, normals = gradient_edges(image)
    assert edges.dtype == normals.dtype == np.float32
    strong = np.argwhere(edges > 0.5)
    assert len(strong) and set(strong[:, 1]) <= {39, 40}
    np.testing.assert_allclose(np.sin(normals[edges > 0.5]), 0, atol=1e-6)
    edges, normals = gradient_edges(image.transpose(1, 0, 2).copy())
    np.testing.assert_allclose(np.cos(normals[edges > 0.5]), 0, atol=1e-6)


@pytest.mark.parametrize('make', [EdgeBoxes, SelectiveSearch])
@pytest.mark.parametrize(
    'image',
    [
        np.full((50, 60, 3), 7, np.uint8),  # nothing in it
        np.full((9, 9, 3), 255, np.uint8),
        np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 3, 2).repeat(48, 0),
        np.zeros((8, 4000, 3), np.uint8),
    ],
    ids=['flat', 'small', 'grey', 'long'],
)
def test_images_without_contours_are_no_error(make, image):
    boxes = make()(image)
    assert boxes.shape[1:] == (4,) and boxes.dtype == np.float32


def test_a_union_has_the_boxes_of_all_once(square):
    configs = [dict(type='EdgeBoxes', num_boxes=20), dict(type='SelectiveSearch')]
    parts = [PROPOSALS.build(dict(each))(square) for each in configs]
    rng = np.random.default_rng(0)
    union = Union([*configs, configs[0]])(square, rng)
    assert set(map(tuple, union.tolist())) == {
        tuple(box) for part in parts for box in part.tolist()
    }
    assert len(union) == len({tuple(box) for box in union.tolist()})


@pytest.mark.parametrize('method', ['edge-boxes', 'union'])
def test_every_process_finds_the_same_boxes(demo_images, method):
    settings = build_settings('fast', method, max_boxes=50)
    names = ['coffee.jpg', 'rocket.jpg']
    made = [
        {each.path: each for each in generate_proposals(demo_images, order, settings)}
        for order in (names, names[::-1])
    ]
    for name in names:
        first, second = (each[name] for each in made)
        assert first.failure is None and len(first.boxes)
        np.testing.assert_array_equal(first.boxes, second.boxes)


def test_an_image_that_takes_too_long_gets_the_whole_image(demo_images):
    settings = build_settings(method='edge-boxes', timeout=1e-3)
    (made,) = generate_proposals(demo_images, ['coffee.jpg'], settings)
    assert 'took longer' in made.failure


def write_edge_model(path, threshold):
    """A forest of one tree that asks for the strength of the gradient.

    Where it is above the threshold, the four central pixels of a patch are edges.
    """
    options = dict(
        stride=2,
        shrinkNumber=2,
        patchSize=8,
        patchInnerSize=4,
        numberOfGradientOrientations=4,
        gradientSmoothingRadius=0,
        regFeatureSmoothingRadius=0,
        ssFeatureSmoothingRadius=0,
        gradientNormalizationRadius=4,
        selfsimilarityGridSize=1,
        numberOfTrees=1,
        numberOfTreesToEvaluate=1,
    )
    tree = dict(
        childs=[2, 0, 0],
        featureIds=[58, 0, 0],  # channel 3, at (2, 2) of 4 x 4
        thresholds=[threshold, 0.0, 0.0],
        edgeBoundaries=[0, 0, 0, 4],
        edgeBins=[5, 6, 9, 10],
    )
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    file.startWriteStruct('options', cv2.FileNode_MAP)
    for name, value in options.items():
        file.write(name, value)
    file.endWriteStruct()
    for name, values in tree.items():
        file.startWriteStruct(name, cv2.FileNode_SEQ)
        file.startWriteStruct('', cv2.FileNode_SEQ)
        for value in values:
            file.write('', value)
        file.endWriteStruct()
        file.endWriteStruct()
    file.release()


def test_edges_are_those_of_the_edge_model(square, tmp_path):
    write_edge_model(tmp_path / 'strong.yml', threshold=0.8)
    write_edge_model(tmp_path / 'never.yml.gz', threshold=1e6)
    found = EdgeBoxes(edge_model=str(tmp_path / 'strong.yml'))(square)
    assert overlaps(SQUARE, found).max() > 0.7
    # The gradients of this image do find boxes.
    assert len(EdgeBoxes(edge_model=str(tmp_path / 'never.yml.gz'))(square)) == 0


@pytest.mark.parametrize(
    'content, message',
    [
        (None, 'There is no edge model'),
        (b'', 'is no structured-edge model'),
        (bytes(range(256)), 'is no structured-edge model'),
        # OpenCV itself divides by zero here, which ends the process.
        (b'%YAML:1.0\n---\na: 1\n', 'is no structured-edge model'),
        (b'{"options": {"numberOfTrees": 2}, "childs": [[0]]}', 'is no structured-e'),
    ],
    ids=['missing', 'empty', 'binary', 'other', 'cut'],
)
def test_a_wrong_edge_model_is_refused_before_anything_is_written(
    demo_images, tmp_path, capsys, content, message
):
    out, model = tmp_path / 'store', tmp_path / 'model.yml'
    if content is not None:
        model.write_bytes(content)
    command = ['proposals', str(demo_images), '--out', str(out)]
    command += ['--method', 'edge-boxes', '--edge-model', str(model)]
    with pytest.raises(SystemExit) as exit:
        main(command)
    assert exit.value.code == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_annotated_objects_are_found_better_than_by_chance(demo_images):
    content = json.loads((demo_images.parent / 'instances.json').read_text())
    (number,) = (
        each['id'] for each in content['images'] if each['file_name'] == 'coins.jpg'
    )
    objects = np.array(
        [each['bbox'] for each in content['annotations'] if each['image_id'] == number],
        float,
    )
    objects[:, 2:] += objects[:, :2]
    photo = read_image(demo_images / 'coins.jpg')
    found = EdgeBoxes(num_boxes=300)(photo)
    random = RandomBoxes(len(found), 2, (0.05, 0.3))(photo, np.random.default_rng(0))
    ours, chance = (overlaps(objects, each).max(1).mean() for each in (found, random))
    assert ours > 1.2 * chance


def test_an_edge_of_a_single_channel_is_as_good_as_one_of_all():
    grey, blue = np.zeros((2, 60, 80, 3), np.uint8)
    grey[:, 40:] = 200
    blue[:, 40:, 2] = 200
    for ours, theirs in zip(gradient_edges(blue), gradient_edges(grey)):
        np.testing.assert_array_equal(ours, theirs)


def test_both_edges_of_a_thin_bar_are_seen():
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 38:42] = 200
    edges, _ = gradient_edges(image)
    columns = np.flatnonzero(edges[30] > 0.5)
    # Between the pixels 37 and 38, and between 41 and 42.
    assert set(columns) <= {37, 38, 41, 42}
    assert {37, 38} & set(columns) and {41, 42} & set(columns)
