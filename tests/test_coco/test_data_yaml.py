"""Where the images of a data.yaml are."""

import os

import pytest
from PIL import Image

from soco_mm.coco.data_yaml import read_data_yaml, split_images
from soco_mm.coco.yolo import read_yolo
from soco_mm.utils import UsageError


@pytest.fixture
def data(tmp_path):
    """Images of three splits in the folder ``set``; writes its data.yaml."""
    folder = tmp_path / 'set'
    for split in ('train', 'valid', 'test'):
        for kind in ('images', 'labels'):
            (folder / split / kind).mkdir(parents=True)
        Image.new('RGB', (40, 20)).save(folder / f'{split}/images/{split}.png')
        (folder / f'{split}/labels/{split}.txt').write_text('0 .5 .5 .2 .2')

    def write(text, place=folder):
        place.mkdir(exist_ok=True)
        (place / 'data.yaml').write_text(text)
        return read_data_yaml(place / 'data.yaml')

    return write


def images_of(data, split='train'):
    return [
        os.path.relpath(path, data.folder)
        for each in split_images(data, split)
        for path in each.images
    ]


@pytest.mark.parametrize(
    'text',
    [
        'train: train/images',
        'train: ./train/images/',
        'train: [train/images]',
        'train: ../train/images',  # as Roboflow writes it
        r'train: ..\train\images',
        'path: .\ntrain: train/images',
        'path: ../set\ntrain: train/images',
        'path: ../datasets/elsewhere\ntrain: train/images',
        'path: /content/datasets/set\ntrain: train/images',
        'train: /content/datasets/set/train/images',
        r'train: C:\Users\me\set\train\images',
        'path: ""\ntrain: train/images',
    ],
)
def test_images_are_found(data, text):
    found = data(f'{text}\nnames: [nut]\n')
    assert images_of(found) == ['train/images/train.png']


def test_path_is_relative_to_the_file_or_the_working_folder(
    data, tmp_path, monkeypatch
):
    text = 'path: {}\ntrain: train/images\nval: valid/images\nnames: [nut]\n'
    other = tmp_path / 'configs'
    found = data(text.format('../set'), other)
    assert images_of(found, 'val') == ['../set/valid/images/valid.png']
    monkeypatch.chdir(tmp_path)
    found = data(text.format('set'), other)
    assert images_of(found) == ['../set/train/images/train.png']


def test_splits_may_be_several_folders_or_all(data, tmp_path):
    text = (
        'train: [train/images, valid/images]\nvalidation: valid/images\n'
        'test: test/images\nnames: [nut]\n'
    )
    found = data(text)
    assert images_of(found) == ['train/images/train.png', 'valid/images/valid.png']
    source = read_yolo(found.path, split=None)
    assert [each['file_name'] for each in source.content['images']] == [
        'train/images/train.png',
        'valid/images/valid.png',
        'test/images/test.png',
    ]
    assert len(source.content['annotations']) == 3


def test_a_split_may_be_a_list(data, tmp_path):
    listed = tmp_path / 'set/lists/train.txt'
    listed.parent.mkdir()
    lines = [
        './../train/images/train.png',
        'valid/images/valid.png',
        '',
        '/content/set/test/images/test.png',
    ]
    listed.write_bytes('\r\n'.join(lines).encode('utf-8-sig'))
    found = data('train: lists/train.txt\nnames: [nut]\n')
    assert images_of(found) == [
        'train/images/train.png',
        'valid/images/valid.png',
        'test/images/test.png',
    ]
    listed.write_text('train/images/train.png\ntrain/images/none.png\nno.png')
    with pytest.raises(
        UsageError,
        match=r'lists/train.txt:2: '
        r'train/images/none.png is missing \(and 1 more\)',
    ):
        images_of(found)
    listed.write_text('\n')
    with pytest.raises(UsageError, match='lists/train.txt names no image'):
        images_of(found)


def test_one_split_is_not_taken_for_another(data, tmp_path):
    """As the folder of only the last name would be."""
    (tmp_path / 'set/images').symlink_to(tmp_path / 'set/train/images')
    found = data('train: images\nval: /content/val/images\nnames: [nut]\n')
    with pytest.raises(
        UsageError, match='names /content/val/images as its val, which is not in'
    ):
        images_of(found, 'val')


@pytest.mark.parametrize(
    'text, names',
    [
        ('names: [nut, bolt]', {0: 'nut', 1: 'bolt'}),
        ('names: {0: nut, 2: bolt}\nnc: 2', {0: 'nut', 2: 'bolt'}),
        ('names: [no, on, null, 1.0]', {0: 'no', 1: 'on', 2: 'null', 3: '1.0'}),
        ('nc: 2', {0: 'class0', 1: 'class1'}),
    ],
)
def test_names_are_read_as_they_are_written(data, text, names):
    assert data(f'train: train/images\n{text}').names == names


@pytest.mark.parametrize(
    'text, reason',
    [
        ('train: a\n\tnames: b', r'data.yaml:2: not YAML'),
        ('- train', 'not the data.yaml of a YOLO data set: it holds no keys'),
        ('names: [nut]\nval:\n', 'it has no "train", "val" or "test"'),
        ('train: train/images', 'it has no "names"'),
        ('train: {a: b}\nnames: [nut]', '"train" is neither a path nor a list'),
        ('train: a\nnames: [nut]\nnc: 2', r'has 1 names, but nc is 2'),
        ('train: a\nnames: [nut]\nnc: two', "nc 'two' is not a whole number"),
        ('train: a\nnames: {nut: 0}', "class 'nut' is not a whole number"),
        ('train: a\nnames: [[nut]]', r"the name \['nut'\] of a class"),
        ('train: a\nnames: [nut]\nkpt_shape: 3', "kpt_shape '3' is not two"),
    ],
)
def test_a_wrong_file_ends_in_a_sentence(data, text, reason):
    with pytest.raises(UsageError, match=reason):
        data(text)


def test_nothing_in_the_file_is_run(data):
    text = 'train: a\nnames: [nut]\nx: !!python/object/apply:os.getcwd []\n'
    assert data(text).names == {0: 'nut'}


def test_a_split_that_is_not_there_is_named(data):
    found = data('train: train/images\ntest: none\nnames: [nut]\n')
    with pytest.raises(UsageError, match='has no "val", only train and test'):
        split_images(found, 'val')
    with pytest.raises(UsageError, match='names none as its test, which'):
        split_images(found, 'test')
