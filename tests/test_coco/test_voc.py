"""Pascal VOC data sets are read as the COCO they are copies of."""

import json
import shutil
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest
from label_layouts import object_of, write_voc, xml_of
from PIL import Image

from soco_mm.coco import read_annotations, read_source
from soco_mm.coco.voc import read_voc
from soco_mm.utils import UsageError

DEMO = Path(__file__).parents[2] / 'demo'
SHARED = Path(__file__).parents[3] / 'shared/data'


def objects(content, about=list):
    """Of each image the class and box of each object."""
    names = {each['id']: each['name'] for each in content['categories']}
    files = {each['id']: each['file_name'] for each in content['images']}
    found = {}
    for each in content['annotations']:
        found.setdefault(files[each['image_id']], []).append(
            (names[each['category_id']], about(each['bbox']))
        )
    return found


@pytest.mark.parametrize(
    'name, images',
    [
        (DEMO / 'instances.json', DEMO / 'images'),
        (SHARED / 'bccd/instances_val.json', SHARED / 'bccd/images'),
    ],
)
def test_a_copy_has_the_same_objects(tmp_path, name, images):
    if not images.is_dir():
        pytest.skip('needs ../shared/data')
    content = json.loads(name.read_text())
    write_voc(tmp_path / 'voc', content, images)
    source = read_voc(tmp_path / 'voc')
    assert source.root == tmp_path / 'voc/JPEGImages'
    about = partial(pytest.approx, rel=1e-6, abs=1e-6)
    assert objects(source.content) == objects(content, about)
    names = [each['name'] for each in source.content['categories']]
    assert names == sorted(each['name'] for each in content['categories'])
    assert not source.account.counts
    sizes = {
        each['file_name']: (each['width'], each['height']) for each in content['images']
    }
    assert sizes == {
        each['file_name']: (each['width'], each['height'])
        for each in source.content['images']
    }


@pytest.fixture
def voc(tmp_path):
    """A data set of one image; objects are written to its xml file."""
    root = tmp_path / 'voc'
    for folder in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (root / folder).mkdir(parents=True)
    Image.new('RGB', (40, 20)).save(root / 'JPEGImages/a.png')

    def write(objects='', name='a', **kwargs):
        text = xml_of(f'{name}.png', objects=objects, **kwargs)
        (root / f'Annotations/{name}.xml').write_text(text)
        return root

    return write


def test_corners_are_pixels_from_one_inside_of_the_box(voc):
    """From 1 to the width is the whole image."""
    more = '<difficult>1</difficult>\n<truncated>1</truncated>\n'
    root = voc(
        object_of('nut', (1, 1, 40, 20)) + object_of('a & b', (3, 4, 3, 4), more)
    )
    first, second = read_voc(root).content['annotations']
    assert first == dict(
        id='Annotations/a.xml: object 1',
        image_id=1,
        category_id=2,
        bbox=[0, 0, 40, 20],
        ignore=0,
        truncated='',
    )
    assert second == dict(
        id='Annotations/a.xml: object 2',
        image_id=1,
        category_id=1,
        bbox=[2, 3, 1, 1],
        ignore=1,
        truncated='1',
    )


def test_a_box_that_cvat_has_turned_is_read_as_turned(voc):
    more = (
        '<attributes><attribute><name>occluded</name><value>False</value></attribute>'
        '<attribute><name>rotation</name><value>{}</value></attribute></attributes>'
    )
    root = voc(
        object_of('nut', (11, 9, 30, 12), more.format('90.0'))
        + object_of('nut', (3, 4, 7, 8), more.format('0.0'))
    )
    found = read_annotations(root)
    first, second = (each[:4] for each in next(iter(found.boxes.values())))
    assert first == pytest.approx((18, 0, 4, 20)) and second == (2, 3, 5, 5)
    assert any(each.startswith('1 rotated box') for each in found.account.lines())


def test_boxes_are_those_of_mmdetection_and_a_pixel(voc):
    """MMDetection's XMLDataset leaves out the last row and column."""
    from mmdet.datasets import XMLDataset

    root = voc(object_of('nut', (3, 4, 30, 15)))
    shutil.copy(root / 'JPEGImages/a.png', root / 'JPEGImages/a.jpg')
    (root / 'ImageSets/Main/train.txt').write_text('a\n')
    theirs = XMLDataset(
        data_root=str(root),
        ann_file='ImageSets/Main/train.txt',
        data_prefix=dict(sub_data_root=''),
        metainfo=dict(classes=('nut',)),
        test_mode=True,
        pipeline=[],
    ).get_data_info(0)['instances'][0]['bbox']
    (root / 'JPEGImages/a.jpg').unlink()
    x, y, w, h = read_voc(root).content['annotations'][0]['bbox']
    assert [x, y, x + w - 1, y + h - 1] == theirs


@pytest.mark.parametrize(
    'more, boxes',
    [
        ([], [[0, 4, 30, 11], [5, 6, 2.5, 2]]),
        # Of more objects that the edge cuts off, the corners are at 1.
        ([(1, 1, 9, 9)], [[-1, 3, 31, 12], [4, 5, 3.5, 3], [0, 0, 9, 9]]),
        # Out of the image, which says nothing.
        (
            [(1, 9, 9, 9), (-9, 5, 9, 9)],
            [[-1, 3, 31, 12], [4, 5, 3.5, 3], [0, 8, 9, 1], [-10, 4, 19, 5]],
        ),
    ],
)
def test_a_tool_may_count_pixels_from_zero(voc, more, boxes):
    objects = [(0, 4, 30, 15), (5, 6, 7.5, 8), *more]
    root = voc(''.join(object_of('nut', each) for each in objects))
    assert [each['bbox'] for each in read_voc(root).content['annotations']] == boxes


def test_points_between_pixels_are_counted_from_the_edge(voc):
    """As CVAT writes them, even if no object lies at an edge."""
    root = voc(object_of('nut', (10.25, 5.5, 30.75, 15.1)))
    (found,) = read_voc(root).content['annotations']
    assert found['bbox'] == pytest.approx([10.25, 5.5, 20.5, 9.6])


def test_all_splits_of_a_data_set_are_read_alike(voc):
    """A list may hold no object that the edge cuts off."""
    root = voc(object_of('nut', (0, 4, 30, 15)))
    voc(object_of('nut', (5, 6, 30, 15)), name='b')
    Image.new('RGB', (40, 20)).save(root / 'JPEGImages/b.png')
    (root / 'Annotations/broken.xml').write_text('<annotation>')
    lists = root / 'ImageSets/Main'
    for name, image in (('train', 'a'), ('val', 'b')):
        (lists / f'{name}.txt').write_text(f'{image}\n')
    boxes = [
        read_voc(lists / f'{name}.txt').content['annotations'][0]['bbox']
        for name in ('train', 'val')
    ]
    assert boxes == [[0, 4, 30, 11], [5, 6, 25, 9]]


@pytest.mark.parametrize('inner', ['', 'Annotations'])
def test_splits_in_folders_of_their_own_are_read_alike(tmp_path, inner):
    for split, corners in (('train', (0, 4, 30, 15)), ('valid', (5, 6, 30, 15))):
        folder = tmp_path / split / inner
        folder.mkdir(parents=True)
        text = xml_of('a.png', objects=object_of('nut', corners))
        (folder / 'a.xml').write_text(text)
        Image.new('RGB', (40, 20)).save(folder / 'a.png')
    (tmp_path / 'test').mkdir()  # still empty
    boxes = [
        read_voc(tmp_path / split, tmp_path / split / inner).content['annotations']
        for split in ('train', 'valid')
    ]
    assert [each['bbox'] for (each,) in boxes] == [[0, 4, 30, 11], [5, 6, 25, 9]]
    # Folders of other names may be of other data sets.
    (tmp_path / 'train').rename(tmp_path / 'others')
    (alone,) = read_voc(tmp_path / 'valid', tmp_path / 'valid' / inner).content[
        'annotations'
    ]
    assert alone['bbox'] == [4, 5, 26, 10]


def test_a_list_names_the_images(voc):
    root = voc(object_of('nut', (1, 1, 40, 20)))
    for name in ('b', 'c d'):
        voc(object_of('bolt', (1, 1, 4, 2)), name=name)
        Image.new('RGB', (40, 20)).save(root / f'JPEGImages/{name}.png')
    lists = root / 'ImageSets/Main'
    (lists / 'val.txt').write_bytes(b'c d\r\n\r\na\r\n')
    (lists / 'nut_train.txt').write_text('a  1\nb -1\n')

    def names(*args, **kwargs):
        return [
            each['file_name'] for each in read_voc(*args, **kwargs).content['images']
        ]

    assert names(lists / 'val.txt') == ['c d.png', 'a.png']
    assert names(lists / 'nut_train.txt') == ['a.png', 'b.png']
    assert names(root, split='val') == ['c d.png', 'a.png']
    assert names(root) == ['a.png', 'b.png', 'c d.png']
    assert read_voc(lists / 'val.txt').account.lines() == []
    with pytest.raises(UsageError, match='There is no .*Main/train.txt'):
        read_voc(root, split='train')
    (lists / 'val.txt').write_text('a\nnone\n')
    with pytest.raises(UsageError, match=r'val.txt:2: there is no .*none.xml'):
        read_voc(lists / 'val.txt')
    (root / 'JPEGImages/a.png').unlink()
    with pytest.raises(UsageError, match='image of .*a.xml is not in .*JPEGI'):
        read_voc(lists / 'nut_train.txt')


def test_images_and_xml_files_alone_are_counted(voc):
    root = voc(object_of('nut', (1, 1, 40, 20)))
    voc(name='b')
    Image.new('RGB', (40, 20)).save(root / 'JPEGImages/c.png')
    source = read_voc(root)
    assert [each['file_name'] for each in source.content['images']] == ['a.png']
    assert source.account.lines() == [
        '1 xml file without an image: left out (b.xml)',
        '1 image without an xml file: left out (c.png)',
    ]
    (root / 'JPEGImages/a.png').unlink()
    with pytest.raises(UsageError, match=r'a.xml \(and of 1 more\) is not in'):
        read_voc(root)


def test_images_are_found_beside_or_by_the_name_that_is_noted(voc, tmp_path):
    root = voc(object_of('nut', (1, 1, 40, 20)))
    (root / 'Annotations/a.xml').rename(root / 'Annotations/other.xml')
    assert read_voc(root).content['images'][0]['file_name'] == 'a.png'
    # Two of a name: the one that is noted.
    (root / 'Annotations/other.xml').rename(root / 'Annotations/a.xml')
    shutil.copy(root / 'JPEGImages/a.png', root / 'JPEGImages/a.jpg')
    assert read_voc(root).content['images'][0]['file_name'] == 'a.png'
    (root / 'JPEGImages/a.png').rename(root / 'JPEGImages/a.bmp')
    with pytest.raises(UsageError, match='a.xml could be a.bmp or a.jpg'):
        read_voc(root)
    # As LabelImg and Roboflow keep them.
    beside = tmp_path / 'beside'
    beside.mkdir()
    shutil.copy(root / 'Annotations/a.xml', beside)
    shutil.copy(root / 'JPEGImages/a.jpg', beside)
    source = read_voc(beside)
    assert source.root == beside
    assert source.content['annotations'][0]['id'] == 'beside/a.xml: object 1'
    (beside / 'a.jpg').unlink()
    (root / 'JPEGImages/a.bmp').unlink()
    named = read_voc(beside, images=root / 'JPEGImages')
    assert named.root == root / 'JPEGImages'
    with pytest.raises(UsageError, match='There is no folder .*none. Give th'):
        read_voc(beside, images=root / 'none')


def test_images_are_found_by_names_that_other_systems_changed(voc):
    root = voc(object_of('nut', (1, 1, 40, 20)), name='E\u0301')
    (root / 'JPEGImages/a.png').rename(root / 'JPEGImages/\xe9.PNG')
    source = read_voc(root)
    assert [each['file_name'] for each in source.content['images']] == ['\xe9.PNG']
    assert source.account.lines() == []


def test_names_in_a_list_may_end_like_the_flag_of_a_class(voc):
    names = ['photo 1', 'photo 0', 'photo -1', 'b 1.5', 'c']
    for name in names:
        root = voc(object_of('nut', (1, 1, 40, 20)), name)
        shutil.copy(root / 'JPEGImages/a.png', root / f'JPEGImages/{name}.png')
    path = root / 'ImageSets/Main/train.txt'
    for lines in (
        names,
        [f'{name} -1' for name in names],
        [f'{name}.png' for name in names],
        [f'{name}.png  1' for name in names],
    ):
        path.write_text('\n'.join(lines))
        images = read_voc(path).content['images']
        assert [each['file_name'] for each in images] == [f'{n}.png' for n in names]
    path.write_text('d 1\n')
    with pytest.raises(UsageError, match='train.txt:1: there is no .*/d.xml'):
        read_voc(path)


def test_folders_of_xml_files_and_of_images_may_be_links(voc, tmp_path):
    root = voc(object_of('nut', (1, 1, 40, 20)))
    for name in ('Annotations', 'JPEGImages'):
        (root / name).rename(tmp_path / name)
        (root / name).mkdir()
        (root / name / 'cam').symlink_to(tmp_path / name)
    source = read_source(root)
    assert objects(source.content) == {'cam/a.png': [('nut', [0, 0, 40, 20])]}


def test_an_image_is_not_that_of_two_xml_files(voc):
    root = voc(object_of('nut', (1, 1, 40, 20)))
    for folder in ('cam1', 'cam2'):
        (root / 'Annotations' / folder).mkdir()
        shutil.copy(root / 'Annotations/a.xml', root / 'Annotations' / folder)
    with pytest.raises(UsageError, match='a.xml and cam1/a.xml in .* both be of a.png'):
        read_voc(root)
    (root / 'Annotations/a.xml').unlink()
    with pytest.raises(UsageError, match='cam1/a.xml and cam2/a.xml in .* both be'):
        read_voc(root)
    (root / 'Annotations/cam2/a.xml').unlink()
    assert read_voc(root).content['images'][0]['file_name'] == 'a.png'


@pytest.mark.parametrize(
    'width, height, sizes',
    [
        (0, 0, (None, None)),
        ('', '', (None, None)),
        ('40.0', 20, (40, 20)),
    ],
)
def test_sizes_that_are_not_noted_are_left_out(voc, width, height, sizes):
    (image,) = read_voc(voc(width=width, height=height)).content['images']
    assert (image['width'], image['height']) == sizes


@pytest.mark.parametrize(
    'change, line, reason',
    [
        (('<ymin>4</ymin>\n', ''), 7, 'it has no bndbox/ymin'),
        (
            ('<ymin>4</ymin>', '<ymin>x</ymin>'),
            11,
            "bndbox/ymin 'x' is not a finite number",
        ),
        (('<name>nut</name>', '<name> </name>'), 8, 'it has no name'),
        (('<width>40', '<width>wide'), 4, "size/width 'wide' is not a finite"),
        (('<xmax>30', '<xmax>2'), 9, 'the corner 2, 15 of the object is not'),
        (('<bndbox>', '<bndbox>\n<'), 10, 'not the XML of annotations'),
        (('</annotation>', ''), 17, r'not the XML of annotations \(no element'),
        (('annotation>', 'annotations>'), 1, 'it holds <annotations>'),
        (
            ('<annotation>', '<!DOCTYPE a [\n<!ENTITY lol "lol">\n]>\n<annotation>'),
            2,
            'it defines the entity lol',
        ),
        (('nut', b'n\xe4t'), 8, 'not well-formed'),
    ],
)
def test_a_malformed_file_is_named_with_its_line(voc, change, line, reason):
    root = voc(object_of('nut', (3, 4, 30, 15)))
    path = root / 'Annotations/a.xml'
    old, new = (each if isinstance(each, bytes) else each.encode() for each in change)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    with pytest.raises(UsageError, match=rf'a.xml:{line}: .*{reason}'):
        read_voc(root)


def test_texts_of_other_encodings_are_read(voc):
    root = voc(object_of('nüt', (3, 4, 30, 15)))
    path = root / 'Annotations/a.xml'
    text = path.read_text()
    head = '<?xml version="1.0" encoding="{}"?>\n'
    for encoding in ('utf-8', 'utf-8-sig', 'utf-16', 'iso-8859-1'):
        path.write_bytes(
            (head.format(encoding.removesuffix('-sig')) + text).encode(encoding)
        )
        assert ElementTree.parse(path).findtext('object/name') == 'nüt'
        assert read_voc(root).content['categories'][0]['name'] == 'nüt'


def test_what_follows_a_dot_in_a_list_is_part_of_the_name(voc):
    for name in ('frame', 'frame.20'):
        root = voc(object_of('nut', (1, 1, 40, 20)), name)
        shutil.copy(root / 'JPEGImages/a.png', root / f'JPEGImages/{name}.png')
    path = root / 'ImageSets/Main/train.txt'
    for line in ('frame.20', 'frame.20.png', 'frame.20.xml'):
        path.write_text(f'{line}\n')
        (image,) = read_voc(path).content['images']
        assert image['file_name'] == 'frame.20.png'
    path.write_text('frame.10\n')  # not the image of frame.xml
    with pytest.raises(UsageError, match=r'train.txt:1: there is no .*/frame.10.xml'):
        read_voc(path)
