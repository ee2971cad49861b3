"""YOLO data sets are read as the COCO annotations they are copies of."""

import codecs
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from label_layouts import names_of, write_yolo
from PIL import Image

from soco_mm.coco import read_annotations
from soco_mm.coco.yolo import read_yolo
from soco_mm.utils import SoCoError, UsageError

DEMO = Path(__file__).parents[2] / 'demo'
SHARED = Path(__file__).parents[3] / 'shared/data'


def put(path, content):
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def demo():
    """Those of its photos whose objects are polygons."""
    content = json.loads((DEMO / 'instances.json').read_text())
    content['annotations'] = [
        each
        for each in content['annotations']
        if isinstance(each['segmentation'], list)
    ]
    images = {each['image_id'] for each in content['annotations']}
    content['images'] = [each for each in content['images'] if each['id'] in images]
    assert len(images) == 4
    return content


@pytest.fixture
def square(tmp_path):
    """A data set of one image of 40x20 pixels; labels are written to it."""
    for name in ('images', 'labels'):
        (tmp_path / name).mkdir()
    Image.new('RGB', (40, 20)).save(tmp_path / 'images/a.png')
    (tmp_path / 'data.yaml').write_text(
        'train: images\nval: images\nnc: 2\nnames: [nut, bolt]\n'
    )

    def read(labels, **kwargs):
        if not isinstance(labels, bytes):
            labels = labels.encode()
        (tmp_path / 'labels/a.txt').write_bytes(labels)
        return read_yolo(tmp_path / 'data.yaml', **kwargs)

    return read


def objects(content, root):
    """Of each image the class, box and polygon of each object."""
    names = {each['id']: each['name'] for each in content['categories']}
    files = {each['id']: root / each['file_name'] for each in content['images']}
    found = {}
    for each in content['annotations']:
        found.setdefault(files[each['image_id']].name, []).append(
            (names[each['category_id']], each['bbox'], each.get('segmentation'))
        )
    return found


def same(found, expected, polygons=False):
    """Compare boxes to 1e-6 of their size."""
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        assert len(found[name]) == len(wanted)
        for (class_, box, mask), (its, its_box, its_mask) in zip(found[name], wanted):
            assert class_ == its
            if polygons:
                assert mask[0] == pytest.approx(its_mask[0], rel=1e-6)
            else:
                assert mask is None
                assert box == pytest.approx(its_box, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize('polygons', [False, True])
def test_demo_as_yolo_has_the_same_objects(demo, tmp_path, polygons):
    write_yolo(tmp_path, demo, DEMO / 'images', polygons=polygons)
    (tmp_path / 'data.yaml').write_text('train: images/train\n' + names_of(demo))
    source = read_yolo(tmp_path / 'data.yaml')
    assert source.root == tmp_path
    assert [each['name'] for each in source.content['categories']] == [
        each['name'] for each in demo['categories']
    ]
    same(objects(source.content, source.root), objects(demo, DEMO), polygons)
    assert not source.account.counts
    sizes = {
        each['file_name']: (each['width'], each['height']) for each in demo['images']
    }
    for each in source.content['images']:
        assert sizes[Path(each['file_name']).name] == (each['width'], each['height'])
    if polygons:
        from pycocotools import mask as mask_tools

        for each in source.content['annotations']:
            image = source.content['images'][each['image_id'] - 1]
            rle = mask_tools.frPyObjects(
                each['segmentation'], image['height'], image['width']
            )
            # Pixels of the raster against the area of the polygon.
            assert each['area'] == pytest.approx(
                mask_tools.area(rle)[0], rel=0.05, abs=20
            )


@pytest.mark.parametrize(
    'name, images',
    [
        ('bccd/instances_val.json', 'bccd/images'),
        ('raccoon/instances_val.json', 'raccoon/images'),
    ],
)
def test_real_data_as_yolo_have_the_same_objects(tmp_path, name, images):
    if not SHARED.is_dir():
        pytest.skip('needs ../shared/data')
    content = json.loads((SHARED / name).read_text())
    write_yolo(tmp_path, content, SHARED / images)
    (tmp_path / 'data.yaml').write_text('train: images/train\n' + names_of(content))
    source = read_yolo(tmp_path / 'data.yaml')
    same(objects(source.content, source.root), objects(content, SHARED / images))


def test_a_detector_can_be_trained_with_the_content(demo, tmp_path):
    """As a COCO json, the content has classes, boxes and masks."""
    write_yolo(tmp_path, demo, DEMO / 'images', polygons=True)
    (tmp_path / 'data.yaml').write_text('train: images/train\n' + names_of(demo))
    source = read_yolo(tmp_path / 'data.yaml')
    read, wanted = (
        read_annotations(path, root)
        for path, root in (
            (put(tmp_path / 'yolo.json', source.content), source.root),
            (put(tmp_path / 'coco.json', demo), DEMO / 'images'),
        )
    )
    assert read.classes == wanted.classes and read.masks
    assert read.num_boxes == wanted.num_boxes


def test_a_line_is_a_box_or_a_polygon(square):
    content = square('0 .5 .5 .5 .2\n').content
    assert content == dict(
        images=[dict(id=1, file_name='images/a.png', width=40, height=20)],
        categories=[dict(id=0, name='nut'), dict(id=1, name='bolt')],
        annotations=[
            dict(
                id='labels/a.txt:1',
                image_id=1,
                category_id=0,
                bbox=pytest.approx([10, 8, 20, 4]),
            )
        ],
    )
    # Four points, as of an oriented box.
    (each,) = square('1 .1 .1 .5 .1 .5 .6 .1 .6\n').content['annotations']
    assert each == dict(
        id='labels/a.txt:1',
        image_id=1,
        category_id=1,
        bbox=pytest.approx([4, 2, 16, 10]),
        segmentation=[pytest.approx([4, 2, 20, 2, 20, 12, 4, 12])],
        area=pytest.approx(160),
    )


@pytest.mark.parametrize(
    'labels',
    [
        codecs.BOM_UTF8 + b'\r\n0 .5 .5 .5 .2 \t\r\n\r\n1.0 1 1 .1 .1   \r\n',
        '\n0 .5 .5 .5 .2\n\n1 1 1 .1 .1'.encode('utf-16'),
        b'\r0 .5 .5 .5 .2\r\r1 1 1 .1 .1\r',  # of old Macs
    ],
)
def test_texts_of_any_machine_are_read(square, labels):
    found = square(labels).content['annotations']
    assert [each['id'] for each in found] == ['labels/a.txt:2', 'labels/a.txt:4']
    assert [each['category_id'] for each in found] == [0, 1]


@pytest.mark.parametrize(
    'line, reason',
    [
        ('0 .5 .5 .2', '4 values. Expected class x y w h'),
        ('0', '1 value. Expected class'),
        ('0 .5 .5 .2 .1 .3 .3 .4', '8 values. Expected'),
        ('0 .5 .5 .2 .1 .9', '6 values: a prediction with its confidence'),
        ('0 .5 .5 x .1', "'x' is not a number"),
        ('0,.5,.5,.2,.1', "'0,.5,.5,.2,.1' is not a number.*separated by spaces"),
        ('0 nan .5 .2 .1', 'nan is not a finite number'),
        ('2 .5 .5 .2 .1', 'there is no class 2 among'),
        ('0.5 .5 .5 .2 .1', 'there is no class 0.5 among'),
        ('-1 .5 .5 .2 .1', 'there is no class -1 among'),
        ('0 20 10 8 4', '20 is not between 0 and 1.*not pixels'),
        ('0 .5 .5 -.2 .1', '-.2 is not between 0 and 1'),
    ],
)
def test_a_malformed_line_is_named(square, line, reason):
    with pytest.raises(UsageError, match=rf'labels/a.txt:3: {reason}'):
        square(f'0 .5 .5 .2 .1\n\n{line}\n')
    with pytest.raises(UsageError, match=r'a.txt:1: .* 2 more lines are wr'):
        square(f'{line}\n{line}\n{line}\n')


def test_a_line_twice_is_one_object(square):
    lines = [
        '0 0.5 0.5 0.2 0.2',
        '1 0.5 0.5 0.2 0.2',
        '0 0.5 0.50 0.2 0.2',
        '0 0.4 0.5 0.2 0.2',
    ]
    source = square('\n'.join(lines))
    assert len(source.content['annotations']) == 3
    assert any('twice' in each and ':3' in each for each in source.account.lines())


def test_what_rounding_makes_is_no_mistake(square):
    found = square('0 .5 .5 1.00001 1\n0 -.001 0 1.005 0 1 1\n').content
    assert len(found['annotations']) == 2


def test_mixed_boxes_and_polygons_become_boxes(square):
    source = square('0 .5 .5 .5 .2\n1 .1 .1 .5 .1 .5 .6\n')
    assert source.account.lines() == [
        '1 polygon: used as boxes, since other objects have only a box (labels/a.txt:2)'
    ]
    assert [each['bbox'] for each in source.content['annotations']] == [
        pytest.approx([10, 8, 20, 4]),
        pytest.approx([4, 2, 16, 10]),
    ]
    assert not any(
        'segmentation' in each or 'area' in each
        for each in source.content['annotations']
    )


def test_keypoints_are_not_polygons(square, tmp_path):
    path = tmp_path / 'data.yaml'
    path.write_text(path.read_text() + 'kpt_shape: [2, 3]\n')
    source = square('0 .5 .5 .5 .2 .4 .4 2 .6 .6 0\n')
    (each,) = source.content['annotations']
    assert each['bbox'] == pytest.approx([10, 8, 20, 4])
    assert 'segmentation' not in each
    assert source.account.lines() == [
        '1 object with keypoints: used as boxes (labels/a.txt:1)'
    ]
    with pytest.raises(UsageError, match=r':1: 7 values.*make 11\.'):
        square('0 .1 .1 .5 .1 .5 .6\n')


def test_boxes_written_as_two_corners_are_refused(square):
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.7, (40, 2))
    high = low + rng.uniform(0.05, 0.3, (40, 2))
    corners = np.concatenate([low, high], 1)
    lines = [' '.join(map(str, (0, *each))) for each in corners]
    with pytest.raises(UsageError, match=r'labels/a.txt:\d+: .* two corners x1 y1 x2'):
        square('\n'.join(lines))
    centres = np.concatenate([(low + high) / 2, high - low], 1)
    found = square('\n'.join(' '.join(map(str, (0, *each))) for each in centres))
    for each, box in zip(found.content['annotations'], corners * [40, 20, 40, 20]):
        x, y, w, h = each['bbox']
        assert (x, y, x + w, y + h) == pytest.approx(tuple(box))


@pytest.mark.parametrize('seen', ['', ' 1'])
def test_keypoints_without_their_shape_are_not_taken_for_polygons(square, seen):
    lines = [
        '0 .5 .5 .2 .1' + ''.join(f' {x} {y}{seen}' for x, y in points)
        for points in (
            [(0.45, 0.47), (0.55, 0.47), (0.5, 0.52), (0.5, 0.5)],
            [(0.42, 0.46), (0.5, 0.5), (0, 0), (0.6, 0.55)],
        )
    ]
    size = 3 if seen else 2
    with pytest.raises(
        UsageError, match=rf'a.txt:1: .* Add kpt_shape: \[4, {size}\] to'
    ):
        square('\n'.join(lines))


def test_polygons_of_as_many_points_are_no_keypoints(square):
    corners = '.3 .3 .7 .3 .7 .7 .3 .7'
    small = '.1 .1 .2 .1 .2 .2 .1 .2'
    assert len(square(f'0 {corners}\n1 {small}\n').content['annotations']) == 2
    for first in range(4):  # of a single shape, wherever its points begin
        points = corners.split()
        turned = ' '.join(points[2 * first :] + points[: 2 * first])
        found = square(f'0 {turned}\n1 {turned}\n').content['annotations']
        assert all('segmentation' in each for each in found) and len(found) == 2


@pytest.mark.parametrize(
    'image, text', [('e\u0301.png', '\xe9.txt'), ('IMG_1.PNG', 'img_1.TXT')]
)
def test_labels_are_found_by_names_that_other_systems_changed(
    square, tmp_path, image, text
):
    square('0 .5 .5 .5 .2\n')
    folder = tmp_path
    (folder / 'images/a.png').rename(folder / 'images' / image)
    (folder / 'labels/a.txt').rename(folder / 'labels' / text)
    source = read_yolo(folder / 'data.yaml')
    assert [each['id'] for each in source.content['annotations']] == [
        f'labels/{text}:1'
    ]
    assert source.account.lines() == []


def test_images_and_labels_alone_are_counted(square, tmp_path):
    for name in ('b', 'c'):
        shutil.copy(tmp_path / 'images/a.png', tmp_path / f'images/{name}.png')
    for name in ('c', 'd', 'classes', 'README.dataset'):
        (tmp_path / f'labels/{name}.txt').write_text('')
    source = square('0 .5 .5 .5 .2\n')
    assert [each['file_name'] for each in source.content['images']] == [
        'images/a.png',
        'images/b.png',
        'images/c.png',
    ]
    assert source.account.lines() == [
        '1 image without a txt file: taken as images without objects (images/b.png)',
        '1 txt file without an image: left out (labels/d.txt)',
    ]


def test_labels_are_not_those_of_two_images(square, tmp_path):
    Image.new('RGB', (40, 20)).save(tmp_path / 'images/a.jpg')
    with pytest.raises(
        UsageError, match=r'labels/a.txt could be of .*a.jpg and of .*a.png'
    ):
        square('0 .5 .5 .2 .1')


def test_labels_may_be_beside_the_images(tmp_path):
    # A folder "images" above is not the one of the data set.
    folder = tmp_path / 'images/mine/obj'
    folder.mkdir(parents=True)
    Image.new('RGB', (40, 20)).save(folder / 'a.png')
    (folder / 'a.txt').write_text('0 .5 .5 .5 .2\n')
    (folder / 'b.txt').write_text('0 .5 .5 .5 .2\n')
    path = tmp_path / 'images/mine/data.yaml'
    path.write_text('train: obj\nnames: {0: nut}\n')
    source = read_yolo(path)
    assert [each['id'] for each in source.content['annotations']] == ['obj/a.txt:1']
    assert source.account.lines() == [
        '1 txt file without an image: left out (obj/b.txt)'
    ]
    (folder / 'a.txt').unlink()
    with pytest.raises(
        UsageError,
        match=r'none of the 1 images has labels; '
        r'looked for \S+/labels/mine/obj/a.txt',
    ):
        read_yolo(path)


def test_boxes_of_a_turned_photo_are_of_the_pixels_that_are_trained(square, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (40, 20)).save(tmp_path / 'images/a.png', exif=exif)
    content = square('0 .5 .5 .5 .2\n').content
    assert content['annotations'][0]['bbox'] == pytest.approx([5, 16, 10, 8])
    # Nobody has said which way its labels are.
    assert content['images'] == [dict(id=1, file_name='images/a.png')]


def test_an_image_that_cannot_be_opened_is_named(square, tmp_path):
    (tmp_path / 'images/a.png').write_bytes(b'no image')
    with pytest.raises(SoCoError, match='images/a.png, which is damaged'):
        square('0 .5 .5 .5 .2\n')


def test_file_names_are_relative_to_the_folder_that_is_named(square, tmp_path):
    source = square('0 .5 .5 .5 .2\n', root=tmp_path / 'images')
    assert source.root == tmp_path / 'images'
    assert source.content['images'][0]['file_name'] == 'a.png'
    assert source.content['annotations'][0]['id'] == '../labels/a.txt:1'
    with pytest.raises(UsageError, match='not below .*labels. Leave'):
        square('0 .5 .5 .5 .2\n', root=tmp_path / 'labels')
