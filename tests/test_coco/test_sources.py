"""Annotations of any layout are told apart."""

import json

import pytest
from PIL import Image

from soco_mm.coco import read_annotations, read_source
from soco_mm.utils import UsageError


@pytest.fixture
def folder(tmp_path):
    """One image in the three layouts."""
    image = Image.new('RGB', (40, 20))
    for name in (
        'coco',
        'yolo/images',
        'yolo/labels',
        'voc/Annotations',
        'voc/JPEGImages',
        'voc/ImageSets/Main',
    ):
        (tmp_path / name).mkdir(parents=True)
    for name in ('coco', 'yolo/images', 'voc/JPEGImages'):
        image.save(tmp_path / name / 'a.png')
    content = dict(
        images=[dict(id=1, file_name='a.png', width=40, height=20)],
        categories=[dict(id=1, name='nut')],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[10, 5, 20, 10])],
    )
    (tmp_path / 'coco/train.json').write_text(json.dumps(content))
    (tmp_path / 'yolo/labels/a.txt').write_text('0 .5 .5 .5 .5\n')
    (tmp_path / 'yolo/data.yaml').write_text('train: images\nnames: [nut]\n')
    (tmp_path / 'voc/Annotations/a.xml').write_text(
        '<annotation><filename>a.png</filename><object><name>nut</name>'
        '<bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>15</ymax>'
        '</bndbox></object></annotation>'
    )
    (tmp_path / 'voc/ImageSets/Main/train.txt').write_text('a\n')
    return tmp_path


@pytest.mark.parametrize(
    'path, root',
    [
        ('coco/train.json', None),
        ('yolo/data.yaml', 'yolo'),
        ('yolo', 'yolo'),
        ('voc', 'voc/JPEGImages'),
        ('voc/Annotations', 'voc/JPEGImages'),
        ('voc/ImageSets/Main/train.txt', 'voc/JPEGImages'),
    ],
)
def test_layouts_are_told_apart(folder, path, root):
    source = read_source(folder / path)
    assert source.path == folder / path or source.path.name == 'data.yaml'
    assert source.root == (root and folder / root)
    (each,) = source.content['annotations']
    assert each['bbox'] == pytest.approx([10, 5, 20, 10])
    (image,) = source.content['images']
    assert (folder / (root or 'coco') / image['file_name']).is_file()


@pytest.mark.parametrize(
    'path, root',
    [
        ('coco/train.json', 'coco'),
        ('yolo/data.yaml', None),
        ('yolo', None),
        ('voc', None),
        ('voc/ImageSets/Main/train.txt', None),
    ],
)
def test_a_detector_is_trained_with_any_layout(folder, path, root):
    read = read_annotations(folder / path, root and folder / root)
    assert read.classes == ('nut',)
    assert read.boxes == {1: [(*map(pytest.approx, (10, 5, 20, 10)), 0)]}
    assert (read.root / read.images[1]).is_file()
    assert read.content['images'][0]['width'] == 40


def test_what_a_layout_leaves_out_is_counted(folder):
    (folder / 'yolo/labels/b.txt').write_text('')
    read = read_annotations(folder / 'yolo')
    assert read.account.lines() == [
        '1 txt file without an image: left out (labels/b.txt)'
    ]


def test_a_coco_json_needs_the_folder_of_its_images(folder):
    with pytest.raises(UsageError, match='does not say where its images are'):
        read_annotations(folder / 'coco/train.json')


@pytest.mark.parametrize(
    'path, root',
    [
        ('coco/train.json', 'coco'),
        ('yolo/data.yaml', 'yolo/images'),
        ('voc', 'voc/JPEGImages'),
    ],
)
def test_the_folder_of_the_images_may_be_named(folder, path, root):
    source = read_source(folder / path, folder / root)
    assert source.root == folder / root
    assert source.content['images'][0]['file_name'] == 'a.png'


def test_a_split_of_a_whole_data_set(folder):
    with pytest.raises(UsageError, match='has no "val", only train'):
        read_source(folder / 'yolo/data.yaml', split='val')
    with pytest.raises(UsageError, match='There is no .*Main/val.txt'):
        read_source(folder / 'voc', split='val')


@pytest.mark.parametrize(
    'path, reason',
    [
        ('none', 'There is no .*none. Give a COCO json, the data.yaml'),
        ('coco', 'is a folder. Give the COCO json in it, such as .*train.json'),
        ('yolo/images', 'holds no annotations. Give a COCO json, the data.yaml'),
        ('yolo/labels', 'holds YOLO labels, but no data.yaml'),
        ('yolo/labels/a.txt', 'is not in a Pascal VOC data set.*give the data.y'),
        ('voc/Annotations/a.xml', 'is for one image. Give the folder'),
        ('coco/a.png', 'is not JSON'),
    ],
)
def test_what_holds_no_annotations_gets_a_sentence(folder, path, reason):
    with pytest.raises(UsageError, match=reason):
        read_source(folder / path)


def test_yolo_labels_without_their_data_yaml(folder):
    (folder / 'yolo/data.yaml').rename(folder / 'yolo/coco8.yml')
    with pytest.raises(
        UsageError, match='Give the yaml file in it, such as .*coco8.yml'
    ):
        read_source(folder / 'yolo')
    (folder / 'yolo/coco8.yml').unlink()
    with pytest.raises(UsageError, match='holds YOLO labels, but no data.ya'):
        read_source(folder / 'yolo')
