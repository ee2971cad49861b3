import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from label_layouts import names_of, write_voc, write_yolo
from PIL import Image
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from soco_mm.proposals import (
    ProposalFilter,
    Proposals,
    ProposalStore,
    RandomBoxes,
    SelectiveSearch,
)
from soco_mm.proposals.recall import (
    best_overlaps,
    measure_recall,
    overlaps,
    read_ground_truth,
    recall_by_class,
)
from soco_mm.utils import UsageError, read_image

SHARED = Path(__file__).parents[2].parent / 'shared' / 'data'
HEADER = dict(
    generator=dict(type='SelectiveSearch'),
    filter=dict(max_aspect=3, size_range=[0.3, 0.8], min_side=0),
)


def write(folder, boxes, size=(200, 100)):
    ProposalStore.write(
        folder,
        HEADER,
        [
            Proposals(path, np.float32(each), size, 0)
            for path, each in sorted(boxes.items())
        ],
    )
    return ProposalStore.open(folder)


def annotate(path, images, annotations):
    """A COCO json; annotations are (image id, x, y, w, h, area, iscrowd)."""
    path.write_text(
        json.dumps(
            dict(
                images=[
                    dict(id=number, file_name=name, width=200, height=100)
                    for number, name in images.items()
                ],
                annotations=[
                    dict(
                        id=number,
                        image_id=each[0],
                        category_id=number % 3,
                        bbox=each[1:5],
                        area=each[5],
                        iscrowd=each[6],
                    )
                    for number, each in enumerate(annotations, 1)
                ],
            )
        )
    )
    return path


def coco_recall(content, store, threshold):
    """COCOeval's recall, every object as an image of its own.

    It gives a proposal to one object alone; this is how it may find several.
    """
    objects, results, images = [], [], []
    names = {each['id']: each['file_name'] for each in content['images']}
    for each in content['annotations']:
        if each.get('iscrowd') or names[each['image_id']] not in store:
            continue
        number = len(images) + 1
        images.append(dict(id=number))
        objects.append(
            dict(
                id=number,
                image_id=number,
                category_id=1,
                bbox=each['bbox'],
                area=each['area'],
                iscrowd=0,
            )
        )
        for x1, y1, x2, y2 in store[names[each['image_id']]].tolist():
            results.append(
                dict(
                    image_id=number,
                    category_id=1,
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    score=1.0,
                )
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = dict(
            images=images, annotations=objects, categories=[dict(id=1)]
        )
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), 'bbox')
        params = evaluation.params
        params.useCats, params.maxDets = 0, [100000]
        params.iouThrs = np.array([threshold])
        # Its ranges include both ends, those of the report the lower one.
        small, medium = np.nextafter([32**2, 96**2], 0)
        params.areaRng = [[0, 1e10], [0, small], [32**2, medium], [96**2, 1e10]]
        params.areaRngLbl = ['all', 'small', 'medium', 'large']
        evaluation.evaluate()
        evaluation.accumulate()
    # -1 where there are no objects.
    return dict(zip(params.areaRngLbl, evaluation.eval['recall'][0, 0, :, 0].tolist()))


def mask_abo(content, store):
    names = {each['id']: each['file_name'] for each in content['images']}
    best = []
    for each in content['annotations']:
        name = names[each['image_id']]
        if each.get('iscrowd') or name not in store:
            continue
        boxes = store[name].astype(float)
        boxes[:, 2:] -= boxes[:, :2]
        best.append(mask.iou(boxes, np.array([each['bbox']]), [0]).max())
    return np.mean(best)


def check_against_coco(annotations, store):
    content = json.loads(annotations.read_text())
    objects = read_ground_truth(annotations, store)
    figures = measure_recall(objects.areas, best_overlaps(store, objects)[0])
    for threshold, name in ((0.5, 'recall_50'), (0.7, 'recall_70')):
        expected = coco_recall(content, store, threshold)
        for size, recall in expected.items():
            found = figures[size][name]
            assert (-1 if found is None else found) == recall
    assert figures['all']['abo'] == pytest.approx(mask_abo(content, store), abs=1e-12)
    return figures


def test_made_up_case_agrees_with_coco(tmp_path):
    store = write(
        tmp_path / 'store',
        {
            'a.jpg': [[0, 0, 20, 10], [50, 20, 170, 100], [0, 0, 200, 100]],
            'b/c.jpg': [[10, 10, 50, 50]],
            'only_here.jpg': [[0, 0, 5, 5]],
        },
    )
    annotations = annotate(
        tmp_path / 'ann.json',
        {7: 'a.jpg', 3: 'b/c.jpg', 5: 'elsewhere.jpg'},
        [
            (7, 0, 0, 10, 10, 100, 0),  # IoU 0.5, exactly
            (7, 10, 0, 10, 10, 100, 0),  # found by the same proposal
            (7, 50, 20, 120, 80, 96**2, 0),  # the boundaries of the sizes
            (3, 10, 10, 40, 28, 32**2, 0),  # IoU 0.7
            (3, 100, 50, 20, 20, 400, 0),  # not found
            (3, 10, 10, 40, 40, 1600, 1),  # a crowd does not count
            (5, 0, 0, 100, 100, 10000, 0),  # its image is not in the store
        ],
    )
    figures = check_against_coco(annotations, store)
    assert [each['objects'] for each in figures.values()] == [5, 3, 1, 1]
    assert figures['all']['recall_50'] == 0.8
    assert figures['all']['abo'] == pytest.approx((0.5 + 0.5 + 1 + 0.7) / 5)
    objects = read_ground_truth(annotations, store)
    assert (objects.num_images, objects.absent) == (2, 1)


@pytest.mark.parametrize(
    'name, number, least',
    [
        ('coco128/instances_val.json', 8, 0.05),
        ('bccd/instances_val.json', 4, 0),
    ],
)
def test_real_images_agree_with_coco(tmp_path, name, number, least):
    annotations = SHARED / name
    if not annotations.is_file():
        pytest.skip(f'needs {annotations}')
    root = annotations.parent
    root = root / 'images' if (root / 'images').is_dir() else root
    names = sorted(
        each['file_name'] for each in json.loads(annotations.read_text())['images']
    )[:number]
    results = []
    for path in names:
        image = read_image(root / path)
        boxes, status = ProposalFilter(size_range=(0.05, 0.8))(
            SelectiveSearch()(image), *image.shape[1::-1]
        )
        results.append(Proposals(path, boxes, image.shape[1::-1], status))
    ProposalStore.write(tmp_path / 'store', HEADER, results)
    figures = check_against_coco(annotations, ProposalStore.open(tmp_path / 'store'))
    assert figures['all']['objects'] > 30
    assert figures['all']['recall_50'] > least


def test_overlaps_agree_with_pycocotools():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 30, (2, 40, 4)).astype(float)
    first[:, 2:], second[:, 2:] = first[:, 2:] + 1, second[:, 2:] + 1  # w h
    expected = mask.iou(first, second, [0] * len(second))
    for boxes in (first, second):
        boxes[:, 2:] += boxes[:, :2]
    np.testing.assert_allclose(overlaps(first, second), expected, atol=1e-15)


def test_random_boxes_are_as_many_and_the_same_each_time(tmp_path):
    store = write(
        tmp_path / 'store',
        {'a.jpg': [[90, 40, 91, 41]] * 5, 'b.jpg': [[0, 0, 9, 9]] * 2},
    )
    annotations = annotate(
        tmp_path / 'ann.json',
        {1: 'b.jpg', 2: 'a.jpg'},
        [
            (1, 0, 0, 60, 60, 3600, 0),
            (2, 140, 40, 60, 60, 3600, 0),
            (2, 20, 30, 80, 40, 3200, 0),
        ],
    )
    found, random = best_overlaps(store, read_ground_truth(annotations, store))
    rng = np.random.default_rng(0)
    image = np.zeros((100, 200, 3), np.uint8)
    expected = []
    for number, objects in (
        (5, [[140, 40, 60, 60], [20, 30, 80, 40]]),
        (2, [[0, 0, 60, 60]]),
    ):
        boxes = RandomBoxes(number, 3, (0.3, 0.8))(image, rng).astype(float)
        assert len(boxes) == number
        boxes[:, 2:] -= boxes[:, :2]
        expected += (
            mask.iou(boxes, np.array(objects, float), [0] * len(objects))
            .max(0)
            .tolist()
        )
    np.testing.assert_allclose(random, expected, atol=1e-12)
    np.testing.assert_allclose(found, [0, 1 / 3200, 81 / 3600])


def test_images_of_another_size_are_left_out_and_counted(tmp_path):
    store = write(tmp_path / 'store', {'a.jpg': [[0, 0, 9, 9]]})
    path = annotate(
        tmp_path / 'ann.json',
        {1: 'a.jpg', 2: './a.jpg'},
        [(1, 0, 0, 9, 9, 81, 0), (2, 0, 0, 9, 9, 81, 0)],
    )
    content = json.loads(path.read_text())
    content['images'][1].update(width=100, height=200)
    path.write_text(json.dumps(content))
    objects = read_ground_truth(path, store)
    assert (len(objects.boxes), objects.other_size) == (1, 1)
    content['images'][0].update(width=400)
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match='another size.*200x100 in'):
        read_ground_truth(path, store)


def test_splits_with_the_same_names_are_told_apart_by_where_they_are(tmp_path):
    for split in ('train', 'val'):
        for kind in ('images', 'labels'):
            (tmp_path / split / kind).mkdir(parents=True)
        Image.new('RGB', (200, 100)).save(tmp_path / split / 'images/1.png')
    (tmp_path / 'train/labels/1.txt').write_text('0 .5 .5 .2 .2\n')
    (tmp_path / 'val/labels/1.txt').write_text('0 .2 .2 .1 .1\n')
    (tmp_path / 'data.yaml').write_text(
        'train: train/images\nval: val/images\nnames: [nut]\n'
    )
    header = dict(HEADER, root=str(tmp_path / 'train/images'))
    proposals = [Proposals('1.png', np.float32([[0, 0, 9, 9]]), (200, 100), 0)]
    ProposalStore.write(tmp_path / 'store', header, proposals)
    store = ProposalStore.open(tmp_path / 'store')
    found = read_ground_truth(tmp_path / 'data.yaml', store)
    assert found.boxes.tolist() == [pytest.approx([80, 40, 120, 60])]
    assert found.absent == 1


def test_categories_that_are_no_list_are_no_classes(tmp_path):
    store = write(tmp_path / 'store', {'a.jpg': [[0, 0, 9, 9]]})
    path = annotate(tmp_path / 'ann.json', {1: 'a.jpg'}, [(1, 2, 3, 9, 9, 81, 0)])
    content = dict(json.loads(path.read_text()), categories=-1)
    path.write_text(json.dumps(content))
    assert read_ground_truth(path, store).classes == ()


def test_other_file_names_are_refused_with_one_of_each(tmp_path):
    store = write(tmp_path / 'store', {'here/a.jpg': [[0, 0, 9, 9]]})
    path = annotate(tmp_path / 'ann.json', {1: 'there/a.jpg'}, [])
    with pytest.raises(UsageError, match='there/a.jpg there and here/a.jpg'):
        read_ground_truth(path, store)


@pytest.mark.parametrize(
    'content, message',
    [
        ('{"images": [', 'is not JSON'),
        ('[{"image_id": 1}]', 'is not a COCO json'),
        ('{"images": [{"id": 1}], "annotations": []}', "it has no 'file_name'"),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": '
            '[{"id": 4, "image_id": 1, "bbox": [1, 2, 3]}]}',
            'not a COCO json',
        ),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": '
            '[{"id": 4, "image_id": 1, "bbox": [1, 2, 3, NaN]}]}',
            'annotation 0 .*id 4.* finite',
        ),
        (
            '{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}',
            'no object on the 1 images',
        ),
        (
            '{"images": [{"id": 1, "file_name": "\\ud800"}], "annotations": []}',
            'do not match',
        ),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    store = write(tmp_path / 'store', {'a.jpg': [[0, 0, 9, 9]]})
    (tmp_path / 'ann.json').write_text(content)
    with pytest.raises(UsageError, match=message):
        read_ground_truth(tmp_path / 'ann.json', store)


def test_missing_file_is_refused(tmp_path):
    store = write(tmp_path / 'store', {'a.jpg': [[0, 0, 9, 9]]})
    with pytest.raises(UsageError, match='There is no .*ann.json'):
        read_ground_truth(tmp_path / 'ann.json', store)


def test_objects_of_other_layouts_are_the_same(tmp_path, demo_images, store):
    """Of a whole data set all images, whatever their part."""
    opened = ProposalStore.open(store)
    content = json.loads((demo_images.parent / 'instances.json').read_text())
    for each in content['annotations']:
        del each['segmentation'], each['area']
    path = tmp_path / 'boxes.json'
    path.write_text(json.dumps(content))
    parts = [
        dict(content, images=content['images'][part])
        for part in (slice(2), slice(2, None))
    ]
    for part, split in zip(parts, ('train', 'val')):
        write_yolo(tmp_path / 'yolo', part, demo_images, split)
        write_voc(tmp_path / 'voc', part, demo_images, split)
    (tmp_path / 'yolo/data.yaml').write_text(
        'train: images/train\nval: images/val\ntest: images/none\n' + names_of(content)
    )
    wanted = read_ground_truth(path, opened)
    assert wanted.num_images == 5
    names = {each['id']: each['name'] for each in content['categories']}
    classes = {
        tuple(each['bbox'][:2]): names[each['category_id']]
        for each in content['annotations']
    }
    for box, label in zip(wanted.boxes, wanted.labels):
        assert wanted.classes[label] == classes[tuple(box[:2])]
    for name in ('yolo/data.yaml', 'voc'):
        found = read_ground_truth(tmp_path / name, opened)
        assert (found.images == wanted.images).all()
        for boxes in (found, wanted):
            np.testing.assert_allclose(
                boxes.areas, np.prod(boxes.boxes[:, 2:] - boxes.boxes[:, :2], 1)
            )
        order, other = (
            np.lexsort((*each.boxes.T, each.images)) for each in (found, wanted)
        )
        np.testing.assert_allclose(found.boxes[order], wanted.boxes[other], atol=1e-6)
        for ours, theirs in zip(found.labels[order], wanted.labels[other]):
            assert found.classes[ours] == wanted.classes[theirs]
        assert (found.num_images, found.absent) == (5, 0)
        lines = found.account.lines()
        assert len(lines) == (name != 'voc')
        assert all(
            line.startswith('1 part of the data set without its images: ')
            for line in lines
        )


def test_recall_of_each_class_counts_its_own_objects(tmp_path):
    store = write(tmp_path / 'store', {'a.jpg': [[0, 0, 10, 10], [20, 20, 40, 40]]})
    path = annotate(
        tmp_path / 'ann.json',
        {1: 'a.jpg'},
        [
            (1, 0, 0, 10, 10, 100, 0),  # category 1, found
            (1, 20, 20, 20, 12, 240, 0),  # 2, IoU 0.6
            (1, 60, 60, 9, 9, 81, 0),  # 0, not found
            (1, 80, 60, 9, 9, 81, 0),  # 1, not found
        ],
    )
    content = json.loads(path.read_text())
    content['categories'] = [dict(id=1, name='one'), dict(id=2, name='two')]
    path.write_text(json.dumps(content))
    objects = read_ground_truth(path, store)
    ours, random = best_overlaps(store, objects)
    found = recall_by_class(objects, ours, random)
    assert list(found) == ['one', 'no class', 'two']
    assert [each['objects'] for each in found.values()] == [2, 1, 1]
    assert [each['recall_50'] for each in found.values()] == [0.5, 0, 1]
    assert [each['recall_70'] for each in found.values()] == [0.5, 0, 0]
    assert found['two']['abo'] == pytest.approx(0.6)
    none = read_ground_truth(path, store)._replace(labels=objects.labels[:0])
    assert recall_by_class(none, ours[:0], random[:0]) == {}
    # Classes of one name are one row.
    content['categories'][1]['name'] = 'one'
    path.write_text(json.dumps(content))
    merged = recall_by_class(read_ground_truth(path, store), ours, random)
    assert merged['one']['objects'] == 3
    assert merged['one']['recall_50'] == pytest.approx(2 / 3)


def test_a_subset_in_nested_folders_is_found_by_the_ends_of_its_names(tmp_path):
    """Some names as they are, some with other folders, one that fits two images."""
    boxes = [[0, 0, 9, 9]]
    names = ('p/x/1.jpg', 'p/x/2.jpg', 'p/y/2.jpg', 'q/3.jpg')
    store = write(tmp_path / 'store', dict.fromkeys(names, boxes))
    images = ('q/3.jpg', 'x/2.jpg', '1.jpg', '2.jpg', 'none/3.jpg')
    path = annotate(
        tmp_path / 'ann.json',
        dict(enumerate(images)),
        [(number, 0, 0, 9, 9, 81, 0) for number in range(len(images))],
    )
    objects = read_ground_truth(path, store)
    found = [store.path(index) for index in objects.images]
    assert found == ['p/x/1.jpg', 'p/x/2.jpg', 'q/3.jpg']
    assert objects.absent == 2


def test_an_image_is_not_that_of_two_names(tmp_path):
    """Whether the names end alike, or one of them is its own; only one name counts."""
    store = write(
        tmp_path / 'store', {'1.png': [[0, 0, 9, 9]], '2.png': [[0, 0, 9, 9]]}
    )
    box = (0, 0, 9, 9, 81, 0)
    names = {1: 'cam1/1.png', 2: 'cam2/1.png'}
    path = annotate(tmp_path / 'ann.json', names, [(1, *box), (2, *box)])
    with pytest.raises(UsageError, match='cam1/1.png and cam2/1.png, which could both'):
        read_ground_truth(path, store)
    for more in ({3: 'cam1/2.png', 4: 'cam1\\2.png'}, {3: '2.png', 4: '.\\2.png'}):
        annotate(path, names | more, [(each, *box) for each in (1, 2, 3, 4, 4)])
        objects = read_ground_truth(path, store)
        assert {store.path(index) for index in objects.images} == {'2.png'}
        # Those of the second name for it are repeated.
        assert (len(objects.boxes), objects.num_images, objects.absent) == (1, 1, 2)
    annotate(path, names | {3: '1.png'}, [(each, *box) for each in (1, 2, 3)])
    objects = read_ground_truth(path, store)
    assert (len(objects.boxes), objects.absent) == (1, 2)


def test_ids_of_classes_may_be_written_in_other_ways(tmp_path):
    """As in a fine-tuning: 1, 1.0, "1" and " 1" are one class."""
    store = write(tmp_path / 'store', {'a.jpg': [[0, 0, 9, 9]]})
    ids = [1.0, ' 1', '1', 1, 2, '2.5', None, [1], {}, 3]
    box = (1, 0, 0, 9, 9, 81, 0)
    path = annotate(tmp_path / 'ann.json', {1: 'a.jpg'}, [box] * (len(ids) + 1))
    content = json.loads(path.read_text())
    for each, id_ in zip(content['annotations'], ids):
        each['category_id'] = id_
    del content['annotations'][-1]['category_id']
    for one, two in ((1, '2'), ('1', 2.0), (1.0, ' 2')):
        content['categories'] = [
            dict(id=two, name='two'),
            dict(id=[3], name='no id'),
            dict(id=one, name='one'),
        ]
        path.write_text(json.dumps(content))
        objects = read_ground_truth(path, store)
        found = [(*objects.classes, None)[label] for label in objects.labels]
        assert found == ['one'] * 4 + ['two'] + [None] * 6
