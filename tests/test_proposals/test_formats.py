import json
import os
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from soco_mm.proposals import Proposals, ProposalStore
from soco_mm.proposals.box_files import (
    BoxFile,
    clip_boxes,
    match_images,
    read_box_file,
    to_corners,
    write_coco,
)
from soco_mm.utils import UsageError

COCO = dict(
    images=[
        dict(id=1, file_name='./b/2.jpg', width=40, height=30),
        dict(id='x', file_name='a.jpg'),
    ],
    annotations=[
        dict(image_id=1, bbox=[1, 2, 3, 4], score=0.3),
        dict(image_id='x', bbox=[0, 0, 9, 9], iscrowd=1),
        dict(image_id=1, bbox=[5, 6, 7, 8], score=0.2),
        dict(image_id='x', bbox=[2, 2, 2, 2.5]),
        dict(image_id=7, bbox=[2, 2, 2, 2]),
    ],
)
RESULTS = COCO['annotations'][:1] + COCO['annotations'][2:]


@pytest.fixture
def save(tmp_path):

    def save(content, name='boxes.json'):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return save


def test_boxes_of_a_coco_json_are_gathered_by_their_image(save):
    found = read_box_file(save(COCO))
    assert found == BoxFile(
        'coco',
        {'b/2.jpg': [[1, 2, 3, 4], [5, 6, 7, 8]], 'a.jpg': [[2, 2, 2, 2.5]]},
        {'b/2.jpg': (40, 30)},
        {'crowds': 1, 'of images that are not listed': 1},
    )


def test_scores_below_the_threshold_are_left_out(save):
    found = read_box_file(save(COCO), score_thr=0.3)
    assert found.boxes['b/2.jpg'] == [[1, 2, 3, 4]]
    assert found.boxes['a.jpg'] == [[2, 2, 2, 2.5]]  # it has no score
    assert found.left_out['scored below 0.3'] == 1


def test_coco_results_are_named_by_the_annotations(save):
    found = read_box_file(save(RESULTS), save(dict(images=COCO['images']), 'ann.json'))
    expected = read_box_file(save(COCO))
    assert found.format == 'coco_results'
    assert found[1:3] == expected[1:3]


def test_released_json_is_taken_as_it_is(save):
    content = {'n01_1': [[1, 2, 3, 4]], 'n01_2': []}
    assert read_box_file(save(content)) == BoxFile('released', content, {}, {})


@pytest.mark.parametrize(
    'content, words',
    [
        ('', 'is empty. Expected'),
        (' \n', 'is empty. Expected'),
        ('{"a": [[1, 2', 'is not JSON .* Expected the JSON of the released'),
        ('[' * 100000, 'is not JSON .* Expected'),
        ('3', 'unknown layout. Expected'),
        ('{}', 'unknown layout. Expected'),
        ({'images': []}, 'has no box. Expected'),
        ({'images': [{'id': 1}]}, 'unknown layout'),
        ({'a': 3}, 'unknown layout'),
        ({'a': []}, 'has no box'),
        ({'images': {}, 'annotations': []}, 'the images are not a list'),
        ({'images': [], 'annotations': {}}, 'the annotations are not a list'),
        (dict(COCO, images=[{'id': 1}]), "image 0 .* no 'file_name'"),
        (dict(COCO, images=[{'id': [], 'file_name': 'a'}]), 'image 0'),
        (dict(COCO, images=[3]), 'image 0'),
        (
            dict(
                COCO,
                images=[
                    {'id': 1, 'file_name': 'a.jpg'},
                    {'id': 1, 'file_name': 'b.jpg'},
                ],
            ),
            'image 1 .*its id is that of a.jpg',
        ),
        (dict(COCO, annotations=[{'image_id': 1}]), "annotation 0 .* no 'bbox'"),
        (dict(COCO, annotations=['x']), 'annotation 0'),
        (dict(COCO, annotations=[]), 'has no box'),
        (
            dict(COCO, annotations=COCO['annotations'][1:2]),
            r'no box that can be used \(1 crowds\)',
        ),
        (
            dict(COCO, annotations=COCO['annotations'][4:]),
            'belongs to an image .* image_id 7, an image has the id 1',
        ),
        ([], 'with --ann'),
    ],
)
def test_files_of_other_layouts_are_refused_in_a_sentence(save, content, words):
    with pytest.raises(UsageError, match=words):
        read_box_file(save(content))


def test_arguments_that_do_not_suit_the_file_are_refused(save, tmp_path):
    coco, released = save(COCO), save({'a': [[1, 2, 3, 4]]}, 'released.json')
    with pytest.raises(UsageError, match='Leave --score-thr out'):
        read_box_file(released, score_thr=0.5)
    with pytest.raises(UsageError, match='Leave --score-thr out'):
        read_box_file(
            save(dict(COCO, annotations=COCO['annotations'][3:4]), 'c.json'),
            score_thr=0.5,
        )
    with pytest.raises(UsageError, match='--ann is for COCO results'):
        read_box_file(coco, coco)
    with pytest.raises(UsageError, match='has no "images"'):
        read_box_file(save(RESULTS, 'results.json'), released)
    with pytest.raises(UsageError, match='No such file'):
        read_box_file(tmp_path / 'none.json')
    with pytest.raises(UsageError, match="annotation 0 .*score 'high' is not a finite"):
        read_box_file(
            save([dict(image_id=1, bbox=[1, 2, 3, 4], score='high')], 'd'),
            coco,
            score_thr=0.5,
        )


@pytest.mark.parametrize(
    'boxes',
    [
        [[1, 2, 3]],
        [[1, 2, 3, 4], [1, 2, 3]],
        [[1, 2, 3, '4']],
        [[1, 2, 3, None]],
        [[1, 2, 3, float('nan')]],
        [[1, 2, 3, float('inf')]],
        [[1, 2, 3, 10**30]],
        ['abcd'],
        [7],
        [[[1, 2, 3, 4]]],
        'abcd',
    ],
)
def test_boxes_are_four_finite_numbers(boxes):
    with pytest.raises(ValueError, match='not four finite numbers'):
        to_corners(boxes)


@given(
    arrays(
        np.float32, (2, 2), elements=st.floats(0, 2**24, width=32, allow_subnormal=True)
    )
)
def test_coco_numbers_give_the_corners_back_bit_for_bit(corners):
    box = np.sort(corners, axis=0).ravel()
    x1, y1, x2, y2 = box.tolist()
    bbox = json.loads(json.dumps([x1, y1, x2 - x1, y2 - y1]))
    np.testing.assert_array_equal(to_corners([bbox]).astype(np.float32)[0], box)


@given(
    st.lists(
        st.tuples(
            *[st.integers(-6, 14) | st.floats(-6, 14)] * 2,
            *[st.integers(-2, 14) | st.floats(0, 14)] * 2,
        ),
        max_size=8,
    ),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_boxes_are_clipped_and_distinct(xywh, width, height):
    changed = Counter()
    boxes = clip_boxes(to_corners(list(xywh)), width, height, changed)
    expected, empty, clipped = [], 0, 0
    for x, y, w, h in xywh:
        corners = (max(x, 0), max(y, 0), min(x + w, width), min(y + h, height))
        corners = tuple(float(np.float32(each)) for each in corners)
        if corners[0] < corners[2] and corners[1] < corners[3]:
            expected.append(corners)
            reach = -x, -y, x + w - width, y + h - height
            clipped += max(reach) > 1e-3
        else:
            empty += 1
    assert boxes.dtype == np.float32 and boxes.shape[1] == 4
    assert [tuple(box) for box in boxes.tolist()] == sorted(set(expected))
    assert changed['without area'] == empty
    assert changed['repeated'] == len(expected) - len(boxes)
    assert changed['clipped'] == clipped


def match(boxes, listed, layout='coco', root='/images'):
    return match_images(
        BoxFile(layout, dict.fromkeys(boxes), {}, Counter()), 'f.json', root, listed
    )


def test_stems_are_matched_in_all_folders():
    listed = ['b/x.1.jpg', 'a/y.png', 'c/other.jpg', 'd/other.png']
    paths, unmatched = match(['y', 'none', 'x.1'], listed, 'released')
    assert paths == {'a/y.png': 'y', 'b/x.1.jpg': 'x.1'}
    assert list(paths) == ['a/y.png', 'b/x.1.jpg'] and unmatched == ['none']


def test_stems_of_two_images_are_refused_with_both():
    with pytest.raises(UsageError, match=r'a/x.jpg and b/x.png in .* of x '):
        match(['x'], ['a/x.jpg', 'b/x.png'], 'released')


@pytest.mark.parametrize('layout', ['released', 'coco'])
def test_boxes_of_other_images_are_refused_with_an_example(layout):
    with pytest.raises(UsageError, match='example n_1[,;] the folder has a.j'):
        match(['n_1'], ['a.jpg', 'b.jpg'], layout)


def test_paths_are_matched_below_the_folder():
    paths, unmatched = match(
        ['/images/z/a.jpg', 'b.jpg', 'none.jpg'], ['b.jpg', 'z/a.jpg']
    )
    assert list(paths.items()) == [
        ('b.jpg', 'b.jpg'),
        ('none.jpg', 'none.jpg'),
        ('z/a.jpg', '/images/z/a.jpg'),
    ]
    assert unmatched == []
    for names, words in (
        (['../a.jpg'], 'not below'),
        (['/else/a.jpg'], 'not below'),
        (['/images/b.jpg', 'b.jpg'], 'twice'),
        (['\ud800.jpg'], 'not a valid file name'),
    ):
        with pytest.raises(UsageError, match=words):
            match(names, ['b.jpg'])


def write_store(folder, number, **header):
    ProposalStore.write(
        folder,
        dict(dict(generator=dict(type='Test')), **header),
        (
            Proposals(
                f'{i:07d}.jpg',
                np.arange(8 * i, 8 * i + 8).reshape(2, 4) / np.float32(3),
                (30, 40),
                0,
            )
            for i in range(number)
        ),
    )
    return ProposalStore.open(folder)


def test_coco_json_is_written_whole(tmp_path):
    store = write_store(tmp_path / 'store', 3, filter=None)
    write_coco(tmp_path / 'out.json', store)
    content = json.loads((tmp_path / 'out.json').read_text())
    assert content['info']['generator'] == dict(type='Test')
    assert content['categories'] == [dict(id=1, name='object')]
    assert content['images'][1] == dict(
        id=2, file_name='0000001.jpg', width=30, height=40
    )
    assert [each['id'] for each in content['annotations']] == [*range(1, 7)]
    boxes = store.arrays['boxes'].astype(float)
    for each, (x1, y1, x2, y2) in zip(content['annotations'], boxes):
        assert each['image_id'] == (each['id'] + 1) // 2
        assert each['bbox'] == [x1, y1, x2 - x1, y2 - y1]
        assert each['area'] == (x2 - x1) * (y2 - y1)
        assert (each['category_id'], each['iscrowd']) == (1, 0)


def test_coco_json_that_cannot_be_written_leaves_the_earlier_one(tmp_path):
    store = write_store(tmp_path / 'store', 1)
    (tmp_path / 'out.json').write_text('earlier')
    store.header['generator'] = object()  # not of JSON
    with pytest.raises(TypeError):
        write_coco(tmp_path / 'out.json', store)
    assert (tmp_path / 'out.json').read_text() == 'earlier'
    assert sorted(os.listdir(tmp_path)) == ['out.json', 'store']


def test_memory_of_writing_does_not_grow_with_the_store(tmp_path):
    peaks = []
    for number in (50, 5000):
        store = write_store(tmp_path / f'{number}', number)
        tracemalloc.start()
        write_coco(tmp_path / 'out.json', store)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (tmp_path / 'out.json').stat().st_size > 1e6
    assert peaks[1] < peaks[0] + 50e3
