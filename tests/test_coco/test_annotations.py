"""What is accepted as annotations of a training, and what is refused."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import ExifTags, Image
from pycocotools import mask as mask_tools

from soco_mm.coco import decode_mask, read_annotations, write_annotations
from soco_mm.coco.masks import run_lengths
from soco_mm.utils import SoCoError, UsageError


@pytest.fixture
def content():
    square = [[0, 0, 9, 0, 9, 9]]
    return dict(
        images=[
            dict(id=7, file_name='with space.png', width=40, height=30),
            dict(id=3, file_name='b.png', width=40, height=30),
        ],
        categories=[dict(id=9, name='nut'), dict(id=2, name='bolt')],
        annotations=[
            dict(
                id=1, image_id=7, category_id=2, bbox=[1, 2, 3, 4], segmentation=square
            ),
            dict(
                id=2, image_id=7, category_id=9, bbox=[5, 6, 7, 8], segmentation=square
            ),
            dict(id=3, image_id=3, category_id=9, bbox=[0, 0, 9, 9], iscrowd=1),
        ],
    )


@pytest.fixture
def read(content, tmp_path):

    def write_and_read(name='train.json', *args, **kwargs):
        for image in content['images']:
            cv2.imwrite(
                str(tmp_path / (image['file_name'] or 'a.png')),
                np.zeros((30, 40, 3), np.uint8),
            )
        (tmp_path / name).write_text(json.dumps(content))
        return read_annotations(tmp_path / name, tmp_path, *args, **kwargs)

    return write_and_read


def test_classes_are_numbered_in_the_order_of_the_file(read):
    found = read()
    assert found.classes == ('nut', 'bolt')
    assert found.boxes == {1: [(1, 2, 3, 4, 1), (5, 6, 7, 8, 0)]}
    assert found.images == {1: 'with space.png', 2: 'b.png'}
    assert found.num_boxes == 2 and found.masks


def test_mmdetection_reads_the_same_objects(read, content, tmp_path):
    """Also where sizes, ids and areas are missing, as tools leave them."""
    from mmdet.datasets import CocoDataset

    for image in content['images']:
        del image['width'], image['height']
    content['annotations'][0].update(area=0)
    for each in content['annotations']:
        del each['id']
    found = read()
    write_annotations(replace(found, path=tmp_path / 'new' / 'whole.json'))
    dataset = CocoDataset(
        ann_file=str(tmp_path / 'new' / 'whole.json'),
        data_prefix=dict(img=str(tmp_path)),
        metainfo=dict(classes=found.classes),
    )
    theirs = {
        info['img_id']: [
            each['bbox_label'] for each in info['instances'] if not each['ignore_flag']
        ]
        for info in dataset
    }
    assert theirs[1] == [index for *_, index in found.boxes[1]]
    assert (dataset[0]['width'], dataset[0]['height']) == (40, 30)


def test_sizes_of_turned_photos_are_those_that_are_shown(read, content, tmp_path):
    found = read()
    turned = Image.new('RGB', (30, 40))
    turned.getexif()[ExifTags.Base.Orientation] = 6
    turned.save(tmp_path / 'b.png', exif=turned.getexif())
    again = read_annotations(found.path, tmp_path)
    assert again.content['images'][1]['width'] == 40
    # MMCV turns the pixels, as what they show.
    assert cv2.imread(str(tmp_path / 'b.png')).shape == (30, 40, 3)
    for image in content['images']:
        del image['width'], image['height']
    found.path.write_text(json.dumps(content))
    again = read_annotations(found.path, tmp_path)
    assert again.content['images'][1]['width'] == 40


def test_boxes_in_photos_before_they_are_turned_are_refused(read, tmp_path):
    found = read()
    turned = Image.new('RGB', (40, 30))
    turned.getexif()[ExifTags.Base.Orientation] = 6
    turned.save(tmp_path / 'b.png', exif=turned.getexif())
    with pytest.raises(
        SoCoError,
        match=r'b.png with 40x30 pixels, but a camera noted \(EXIF\) that '
        'it is to be turned to 30x40. Remove the orientation',
    ):
        read_annotations(found.path, tmp_path)


def test_boxes_of_images_of_another_size_are_refused(read, tmp_path):
    found = read()
    cv2.imwrite(str(tmp_path / 'b.png'), np.zeros((60, 80, 3), np.uint8))
    with pytest.raises(SoCoError, match='40x30 pixels, but it has 80x60'):
        read_annotations(found.path, tmp_path)


def test_an_object_under_two_ids_is_kept_and_said(read, content):
    first = content['annotations'][0]
    content['annotations'].append(dict(first, id=99))
    found = read()
    assert found.boxes[1].count((1, 2, 3, 4, 1)) == 2
    assert any(
        each.startswith('1 object with class and box of another: kept, although')
        for each in found.account.lines()
    )


def test_masks_that_lie_outside_of_their_boxes_are_not_trained_with(read, content):
    """As where only the boxes were scaled."""
    content['annotations'] = [
        dict(
            id=number,
            image_id=7,
            category_id=2,
            bbox=[number, 20, 9, 9],
            segmentation=[[number, 22, number + 9, 22, number + 9, 28]],
        )
        for number in range(1, 25)
    ]
    content['annotations'][3]['segmentation'] = [[1, 1, 9, 1, 9, 9]]
    assert read().account.lines() == [
        '1 object whose mask lies outside of its box: used '
        '(annotation 3 (id 4) on with space.png)'
    ]
    content['annotations'][4]['segmentation'] = [[1, 1, 9, 1, 9, 9]]
    with pytest.raises(
        SoCoError, match=r'2 of 24 masks lie outside of their boxes.*\(id 4\)'
    ):
        read()


def test_objects_without_masks_are_boxes(read, content):
    for each in content['annotations']:
        each.pop('segmentation', None)
    assert not read().masks


def test_masks_of_some_objects_alone_are_refused(read, content):
    del content['annotations'][0]['segmentation']
    with pytest.raises(SoCoError, match='1 of 2 objects have no segmentation'):
        read()


@pytest.mark.parametrize(
    'damage, message',
    [
        (lambda c: c.pop('categories'), 'not a COCO json'),
        (lambda c: c['annotations'][0].update(category_id=5), 'not a COCO json'),
        (lambda c: c['annotations'][0].update(image_id=5), 'not a COCO json'),
        (lambda c: c['annotations'][0].update(bbox=[1, 2]), 'not a COCO json'),
        (lambda c: c['annotations'].clear(), 'has no object to train with'),
        (
            lambda c: [each.update(iscrowd=1) for each in c['annotations']],
            'on any of its 2 images: it has 3 crowds, 2 images without',
        ),
        (lambda c: c['categories'][0].update(name='bolt'), 'two categories'),
        (lambda c: c['categories'][0].update(id=2), 'two categories have the same'),
        (lambda c: c['images'][0].update(id=3), 'two images have the same id'),
        (lambda c: c['images'][0].update(file_name=None), 'file_name None'),
        (
            lambda c: c['annotations'][0].update(bbox=[1, 2, 3, float('nan')]),
            r'annotation 0 \(from 0, id 1\) .*nan',
        ),
    ],
)
def test_what_is_not_a_set_of_objects_is_refused(read, content, damage, message):
    damage(content)
    with pytest.raises(SoCoError, match=message):
        read()


def encode(mask):
    rle = mask_tools.encode(np.asfortranarray(mask.astype(np.uint8)))
    return dict(size=rle['size'], counts=rle['counts'].decode())


@pytest.mark.parametrize(
    'rle',
    [
        dict(size=[30, 40]),
        dict(size=[30, 40], counts=5),
        dict(size=[30, 40], counts='~ garbage'),
        dict(size=[30, 40], counts='é'),
        dict(size=[30, 40], counts=''),
        dict(size=[30, 40], counts='ooo'),
        dict(size=[30, 40], counts='55'),
        dict(size=[30, 40], counts=[5, 5]),
        dict(size=[30, 40], counts=[-5, 1205]),
        dict(size=[30, 40], counts=[1199.5, 0.5]),
        dict(size=[30, 40], counts=['1200']),
        dict(size=[40, 30], counts=[1100, 100]),
        dict(size=[3, 4], counts=[10, 2]),
        encode(np.ones((60, 80))),
    ],
)
def test_objects_with_rle_that_cannot_be_decoded_are_ignored(read, content, rle):
    check_unreadable(read, content, rle)


@pytest.mark.parametrize(
    'polygons',
    [
        [[1, 2, 3, 4]],
        [[0, 0, 9, 0, 9]],
        [[0, 0, 9, 0, 9, float('nan')]],
        [[0, 0, 9, 0, 9.5, 10**400]],
        [[0, 0, 9, 0, 9, 9], [0, 0, 9, 0, '9', None]],
        [[50, 0, 59, 0, 59, 9]],
        [[1, 1, 2, 2, 3, 3], 5],
        'polygon',
    ],
)
def test_objects_with_polygons_that_cannot_be_read_are_ignored(read, content, polygons):
    check_unreadable(read, content, polygons)


def check_unreadable(read, content, mask):
    """One is left out and said; where all are, it is no set of boxes."""
    first, second, _ = content['annotations']
    first['segmentation'] = mask
    found = read()
    assert found.masks and found.boxes == {1: [(5, 6, 7, 8, 0)]}
    written = found.content['annotations'][0]
    assert written['iscrowd'] == 1 and written['bbox'] == [1, 2, 3, 4]
    assert found.account.lines()[1].startswith(
        '1 object with a mask that cannot be read: ignored: not trained with,'
    )
    second['segmentation'] = mask
    with pytest.raises(
        SoCoError,
        match=r'none of the 2 segmentations can be read: of annotation 0 '
        r'\(id 1\) on with space.png, .* remove "segmentation"',
    ):
        read()


@pytest.mark.parametrize(
    'same',
    [
        [0, 0, 9, 0, 9, 9],
        [['0', '0', '9', '0', '9', '9']],
        [[0, 0], [9, 0], [9, 9]],
        [[[0, 0], [9, 0], [9, 9]]],
        [[0, 0, 9, 0, 9, 9], [], [3, 3, 4, 4]],
    ],
)
def test_polygons_are_read_however_they_are_nested(read, content, same):
    content['annotations'][0]['segmentation'] = same
    found = read()
    assert found.content['annotations'][0]['segmentation'] == [[0, 0, 9, 0, 9, 9]]
    assert found.num_boxes == 2


def test_rle_is_read_as_pycocotools_does(read, content):
    random = np.random.default_rng(0)
    for share in (0, 0.01, 0.3, 0.9, 1):
        mask = random.random((30, 40)) < share
        rle = encode(mask)
        runs = run_lengths(rle['counts'])
        again = mask_tools.frPyObjects(dict(size=[30, 40], counts=runs), 30, 40)
        assert again['counts'].decode() == rle['counts']
        assert (decode_mask(rle, 30, 40) == mask).all()
        assert (decode_mask(dict(rle, counts=runs), 30, 40) == mask).all()
        # Compressed or not.
        content['annotations'][0]['segmentation'] = rle
        content['annotations'][1]['segmentation'] = dict(rle, counts=runs)
        if mask.any():
            assert read().num_boxes == 2
    large = np.zeros((3000, 4000))
    large[100:2900, 7:3990] = 1
    assert sum(run_lengths(encode(large)['counts'])) == large.size


def test_missing_and_damaged_images_are_named(read, tmp_path):
    found = read()
    (tmp_path / 'b.png').write_bytes(b'no image')
    with pytest.raises(SoCoError, match='b.png, which is damaged, or not'):
        read_annotations(found.path, tmp_path)
    (tmp_path / 'with space.png').unlink()
    with pytest.raises(SoCoError, match='space.png, which is missing, and 1'):
        read_annotations(found.path, tmp_path)
    with pytest.raises(UsageError, match='no folder'):
        read_annotations(found.path, tmp_path / 'nowhere')


def test_categories_of_the_evaluation_are_matched_by_their_names(read, content):
    """They may be in another order, and fewer."""
    train = read()
    content['categories'] = [dict(id=4, name='bolt'), dict(id=1, name='nut')]
    first, second, crowd = content['annotations']
    first['category_id'], second['category_id'] = 4, 1
    crowd['category_id'] = 1
    val = read('val.json', train.classes)
    assert val.boxes == train.boxes and val.classes == ('nut', 'bolt')
    assert val.content['categories'] == train.content['categories']
    del content['categories'][1], content['annotations'][1:]
    val = read('val.json', train.classes)
    assert val.boxes == {1: [(1, 2, 3, 4, 1)]} and val.absent == ('nut',)


def test_objects_of_a_class_that_is_not_trained_are_refused(read, content):
    train = read()
    content['categories'].append(dict(id=5, name='screw'))
    assert read('val.json', train.classes).boxes == train.boxes  # none of it
    content['annotations'][0]['category_id'] = 5
    with pytest.raises(
        SoCoError,
        match=r'objects of the class screw \(annotation 0 \(id 1\)\), .* '
        'classes nut, bolt. Choose .* --classes',
    ):
        read('val.json', train.classes)


def test_a_subset_of_the_classes_leaves_the_others_out(read):
    found = read('train.json', ['bolt'], subset=True)
    assert found.boxes == {1: [(1, 2, 3, 4, 0)]} and not found.absent
    assert found.account.lines() == [
        '2 objects of other classes: left out (for example nut, annotation 1 '
        '(id 2) on with space.png)',
        '1 image without any other object: not trained with (b.png)',
    ]
    assert read('train.json', ['bolt', 'cog'], subset=True).absent == ('cog',)


def test_objects_of_the_id_0_count_in_the_evaluation(read, content, tmp_path):
    """pycocotools takes an object of the id 0 for one that is not found."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    for number, each in enumerate(content['annotations']):
        each['id'] = number
    found = read()
    path = tmp_path / 'whole.json'
    write_annotations(replace(found, path=path))
    for file, expected in ((found.path, 0.5), (path, 1.0)):
        truth = COCO(str(file))
        perfect = [
            dict(
                image_id=each['image_id'],
                category_id=each['category_id'],
                bbox=each['bbox'],
                score=0.9,
            )
            for each in truth.anns.values()
            if not each.get('iscrowd')
        ]
        for each in truth.anns.values():  # without which it fails
            each.setdefault('area', 1.0)
            each.setdefault('iscrowd', 0)
        evaluation = COCOeval(truth, truth.loadRes(perfect), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        precision = evaluation.eval['precision'][:, :, :, 0, -1]
        assert precision[precision > -1].mean() == pytest.approx(expected)


def test_what_tools_leave_empty_is_filled_in(read, content, tmp_path):
    """Every object of them can be loaded by MMDetection."""
    from mmdet.datasets import CocoDataset
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    for number, each in enumerate(content['categories']):
        each['name'] = number
    content['images'][0].update(width=None)
    first, second, crowd = content['annotations']
    first.update(area=None, iscrowd=None, bbox=['1', '2', '3', '4'])
    first['segmentation'].append([])
    second.update(area='56')
    crowd['segmentation'] = []
    found = read()
    assert found.classes == ('0', '1') and found.masks
    path = tmp_path / 'whole.json'
    write_annotations(replace(found, path=path))
    written = json.loads(path.read_text())
    assert [each['area'] for each in written['annotations']] == [12, 56, 81]
    assert written['images'][0]['width'] == 40
    with DefaultScope.overwrite_default_scope('mmdet'):
        dataset = CocoDataset(
            ann_file=str(path),
            data_prefix=dict(img=str(tmp_path)),
            metainfo=dict(classes=found.classes),
            pipeline=[
                dict(type='LoadImageFromFile'),
                dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
            ],
        )
    masks = [dataset[index]['gt_masks'] for index in range(2)]
    assert [len(each) for each in masks] == [2, 1]
    # The mask of the crowd is its box.
    assert masks[1].areas[0] == 81


def test_what_mmdetection_drops_is_not_counted(read, content):
    content['annotations'][0].update(ignore=1)
    content['annotations'].append(
        dict(id=4, image_id=3, category_id=2, bbox=[50, 0, 5, 5])
    )
    assert list(read().boxes) == [1] and read().num_boxes == 1


def test_boxes_in_parts_of_the_image_are_explained(read, content):
    for each in content['annotations'][:2]:
        each['bbox'] = [0.1, 0.2, 0.3, 0.4]
    with pytest.raises(
        SoCoError,
        match=r'2 of 3 boxes look normalised: annotation 0 \(id 1\), '
        r'annotation 1 \(id 2\), .* in pixels',
    ):
        read()


def test_sides_that_are_swapped_without_exif_are_refused(read, content):
    content['images'][1].update(width=30, height=40)
    with pytest.raises(SoCoError, match='30x40 pixels, but it has 40x30'):
        read()


def save_turned(path, orientation, size=(40, 30)):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.new('RGB', size).save(path, exif=exif)


@pytest.mark.parametrize(
    'orientation, noted, told',
    [
        (1, (40, 30), True),
        (2, (40, 30), False),
        (3, (40, 30), False),
        (6, (40, 30), True),
        (6, None, False),
        (8, (0, '0'), False),
    ],
)
def test_photos_of_which_it_cannot_be_told_if_boxes_are_turned_are_named(
    read, content, tmp_path, orientation, noted, told
):
    path = read().path
    size = (30, 40) if orientation > 4 else (40, 30)
    save_turned(tmp_path / 'with space.png', orientation, size)
    image = content['images'][0]
    image.pop('width'), image.pop('height')
    if noted:
        image['width'], image['height'] = noted
    path.write_text(json.dumps(content))
    found = read_annotations(path, tmp_path)
    assert found.turned == ([] if told else [1])
    assert found.content['images'][0]['width'] == 40


def test_the_upright_box_around_a_rotated_one_is_taken(read, content):
    first, *others = content['annotations']
    first.update(bbox=[10, 10, 16, 4], attributes=dict(rotation=-30.0))
    others[0]['attributes'] = dict(rotation=0.0, occluded=False)
    for each in content['annotations']:
        each.pop('segmentation', None)
    found = read()
    boxes = [list(each[:4]) for boxes in found.boxes.values() for each in boxes]
    # By its corners.
    turn = np.exp(-1j * np.radians(30))
    corners = [(x + 1j * y) * turn + 18 + 12j for x in (-8, 8) for y in (-2, 2)]
    x, y = np.real(corners), np.imag(corners)
    wanted = [x.min(), y.min(), np.ptp(x), np.ptp(y)]
    assert sum(np.allclose(each, wanted, atol=1e-5) for each in boxes) == 1
    (line,) = [each for each in found.account.lines() if 'rotated' in each]
    assert line.startswith('1 rotated box')


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16', 'utf-16-le'])
def test_files_of_windows_are_read(read, content, tmp_path, encoding):
    content['categories'][0]['name'] = 'écrou'
    path = read().path
    path.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    assert read_annotations(path, tmp_path).classes == ('écrou', 'bolt')


def test_ids_of_any_kind_are_renumbered(read, content):
    """References may be text where the ids are numbers."""
    expected = read()
    content['images'][0]['id'] = 'x'
    content['images'][1]['id'] = 12
    content['categories'][1]['id'] = '2'
    first, second, crowd = content['annotations']
    first.update(image_id='x', category_id=2, id={'$oid': 'first'})
    second.update(image_id='x', category_id='9', id=None)
    crowd.update(image_id='12')
    found = read()
    assert found.content == expected.content
    assert [each['id'] for each in found.content['annotations']] == [1, 2, 3]


def test_an_image_that_is_listed_twice_is_merged(read, content):
    content['images'].append(
        dict(id='again', file_name='./with space.png', width=40, height=30)
    )
    first, second, _ = content['annotations']
    content['annotations'].append(dict(first, id=4, image_id='again'))
    moved = dict(bbox=[20, 1, 9, 9], segmentation=[[20, 1, 29, 1, 29, 9]])
    content['annotations'].append(dict(second, id=5, image_id='again', **moved))
    content['annotations'].append(dict(second, id=6))  # the user's own
    found = read()
    assert found.images == {1: 'with space.png', 2: 'b.png'}
    assert found.boxes == {
        1: [(1, 2, 3, 4, 1), (5, 6, 7, 8, 0), (20, 1, 9, 9, 0), (5, 6, 7, 8, 0)]
    }
    merged, _, taken, kept, _ = found.account.lines()
    assert merged == '1 image that is listed twice: merged (with space.png)'
    assert taken.startswith('1 object that is listed twice: taken once (annotation 3 ')
    assert kept.startswith('1 object with class and box of another: kept, although a ')


def test_two_names_are_not_taken_for_one_file(read, content, tmp_path):
    path = read().path
    content['images'][0]['file_name'] = 'train\\b.png'
    path.write_text(json.dumps(content))
    with pytest.raises(SoCoError, match='which could both be b.png'):
        read_annotations(path, tmp_path)


def test_names_of_another_machine_are_found_where_that_is_unique(
    read, content, tmp_path
):
    path = read().path
    content['images'][0]['file_name'] = 'D:\\photos\\With Space.PNG'
    path.write_text(json.dumps(content))
    assert read_annotations(path, tmp_path).images[1] == 'with space.png'
    for folder in ('x', 'y'):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / 'c.png'), np.zeros((30, 40, 3), np.uint8))
    content['images'][0]['file_name'] = 'c.png'
    path.write_text(json.dumps(content))
    with pytest.raises(SoCoError, match='could be x/c.png and y/c.png'):
        read_annotations(path, tmp_path)


def test_file_names_of_lvis_are_in_the_url(read, content, tmp_path):
    path = read().path
    content['images'][1].pop('file_name')
    content['images'][1]['coco_url'] = 'http://images.org/train2017/b.png'
    path.write_text(json.dumps(content))
    assert read_annotations(path, tmp_path).images[2] == 'b.png'


def test_images_that_are_annotated_for_some_categories_are_counted(read, content):
    assert not any('LVIS' in line for line in read().account.lines())
    content['images'][1]['neg_category_ids'] = [2]
    (line,) = (line for line in read().account.lines() if 'LVIS' in line)
    assert line.startswith('1 image that is annotated for some categories only')


@pytest.mark.parametrize(
    'flag, crowd', [('0', 0), ('false', 0), ('', 0), (None, 0), ('1', 1), (True, 1)]
)
def test_flags_are_read_however_they_are_written(read, content, flag, crowd):
    for key in ('iscrowd', 'ignore'):
        content['annotations'][0].pop('iscrowd', None)
        content['annotations'][0][key] = flag
        written = read().content['annotations'][0]
        assert written['iscrowd'] == crowd and 'ignore' not in written


def test_categories_that_group_others_are_no_classes(read, content):
    for each in content['categories']:
        each['supercategory'] = 'parts'
    content['categories'].insert(0, dict(id=0, name='parts'))
    content['categories'].append(  # as of COCO's "person"
        dict(id=5, name='alone', supercategory='alone')
    )
    found = read()
    assert found.classes == ('nut', 'bolt', 'alone')
    assert '(parts)' in found.account.lines()[0]
    content['annotations'][0]['category_id'] = 0
    assert read().classes == ('parts', 'nut', 'bolt', 'alone')


def test_the_copy_for_training_has_images_with_objects_alone(read, tmp_path):
    """Those with crowds alone would lengthen an epoch."""
    found = read()
    path = tmp_path / 'new.json'
    write_annotations(replace(found, path=path), empty=False)
    written = json.loads(path.read_text())
    assert [each['id'] for each in written['images']] == [1]
    assert {each['image_id'] for each in written['annotations']} == {1}
    assert len(written['categories']) == 2


def test_areas_are_no_larger_than_clipped_boxes(read, content):
    first, second, _ = content['annotations']
    first.update(bbox=[-10, 2, 20, 4], area=80)
    second.update(area=11)
    areas = [each['area'] for each in read().content['annotations']]
    assert areas[:2] == [40, 11]


def test_images_that_opencv_cannot_read_are_to_be_converted(tmp_path):
    # Pretraining reads them, by Pillow.
    Image.new('RGB', (40, 30)).save(tmp_path / 'a.tga')
    content = dict(
        images=[dict(id=1, file_name='a.tga')],
        categories=[dict(id=1, name='a')],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[1, 2, 9, 9])],
    )
    (tmp_path / 'a.json').write_text(json.dumps(content))
    with pytest.raises(
        SoCoError, match=r'a\.tga, which OpenCV cannot read.* Convert it to PNG'
    ):
        read_annotations(tmp_path / 'a.json', tmp_path)


@pytest.mark.parametrize('far', [1e6, 1e8, 1e300])
def test_a_polygon_that_would_take_all_memory_is_unreadable(read, content, far):
    check_unreadable(read, content, [[0, 0, far, 0, far, far]])


def test_one_file_under_several_names_is_one_image(read, content, tmp_path):
    path = read().path
    (tmp_path / 'link.png').symlink_to('b.png')
    content['images'] += [
        dict(id=20, file_name=str(tmp_path / 'b.png')),
        dict(id=21, file_name=f'../{tmp_path.name}/b.png'),
        dict(id=22, file_name='link.png'),
    ]
    for number in (20, 21, 22):
        content['annotations'].append(
            dict(
                id=number,
                image_id=number,
                category_id=2,
                bbox=[number, 1, 5, 5],
                segmentation=[[number, 1, number + 5, 1, number + 5, 5]],
            )
        )
    path.write_text(json.dumps(content))
    found = read_annotations(path, tmp_path)
    assert found.images == {1: 'with space.png', 2: 'b.png'}
    assert [x for x, *_ in found.boxes[2]] == [20, 21, 22]


def test_a_file_that_is_joined_to_itself_has_each_object_once(read, content):
    expected = read()
    for key in ('images', 'annotations'):
        content[key] *= 2
    found = read()
    assert found.content == expected.content
    assert '3 objects that are listed twice: taken once' in (
        '\n'.join(found.account.lines())
    )


def test_a_group_that_has_the_name_of_its_class_is_left_out(read, content):
    content['categories'].insert(0, dict(id=0, name='nut'))
    content['categories'][1]['supercategory'] = 'nut'
    assert read().classes == ('nut', 'bolt') and read().num_boxes == 2
    content['annotations'][0]['category_id'] = 0
    with pytest.raises(SoCoError, match='two categories named nut'):
        read()


def test_a_class_is_one_also_where_it_groups_others_in_the_evaluation(read, content):
    train = read()
    content['categories'][1]['supercategory'] = 'nut'
    content['annotations'] = content['annotations'][:1]
    val = read('val.json', train.classes)
    assert not any('group' in line for line in val.account.lines())


def test_masks_are_not_read_for_a_detector_of_boxes(read, content):
    content['annotations'][0]['segmentation'] = [[1, 2]]
    del content['annotations'][1]['segmentation']
    found = read('train.json', masks=False)
    assert found.num_boxes == 2 and not found.masks
    assert not any('mask' in line for line in found.account.lines())


@pytest.mark.parametrize(
    'damage, words',
    [
        (lambda c: c.update(categories=[]), 'annotation 0 .* no category 2'),
        (lambda c: c['annotations'].insert(1, 7), 'annotation 1 .* not an object'),
        (lambda c: c['images'][0].update(id=[]), 'image 0 .*unhashable'),
        (
            lambda c: c['annotations'][0].update(bbox=[1, 2, 10**400, 4]),
            'annotation 0 .* not four finite numbers',
        ),
        (lambda c: c['annotations'][0].update(bbox='1234'), 'not four finite'),
        (lambda c: c['annotations'][0].update(iscrowd='x'), "iscrowd 'x'"),
        (lambda c: c['images'][1].update(width='x'), "image 1 .*width 'x'"),
        (lambda c: c['categories'][1].update(name=None), 'category 1 .*name None'),
    ],
)
def test_an_entry_of_the_wrong_type_is_named(read, content, damage, words):
    path = read().path
    damage(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=words):
        read_annotations(path, path.parent)
