"""What finetune reads of each layout."""

import json
import shutil

import cv2
import numpy as np
import pytest
from label_layouts import names_of, write_voc, write_yolo
from tiffs import GREY, make_tiff, ramp

from soco_mm.detectors.data import check_pixels, hash_of, read_data
from soco_mm.detectors.summary import shared
from soco_mm.utils import SoCoError, UsageError


@pytest.fixture
def layouts(tmp_path):
    """Two images of training and one of validation, as all three layouts."""
    root = tmp_path / 'images'
    root.mkdir()
    numbers = iter(range(1, 9))
    for split, boxes in (
        ('train', [[5, 6, 30, 20], [1, 2, 9.5, 12]]),
        ('val', [[7, 3, 20, 21]]),
    ):
        images, objects = [], []
        for box, number in zip(boxes, numbers):
            name = f'{number}.png'
            cv2.imwrite(str(root / name), np.zeros((30, 40, 3), np.uint8))
            images.append(dict(id=number, file_name=name, width=40, height=30))
            objects.append(
                dict(id=number, image_id=number, category_id=number, bbox=box)
            )
        # In the order of their names, in which they are in Pascal VOC.
        names = ('bolt', 'nut', 'washer')
        content = dict(
            images=images,
            annotations=[dict(each, category_id=2) for each in objects],
            categories=[dict(id=i, name=name) for i, name in enumerate(names)],
        )
        content['annotations'][0]['category_id'] = 1
        (tmp_path / f'{split}.json').write_text(json.dumps(content))
        write_voc(tmp_path / 'voc', content, root, split)
        write_yolo(tmp_path / 'yolo', content, root, split)
    (tmp_path / 'yolo/data.yaml').write_text(
        f'train: images/train\nval: images/val\n{names_of(content)}'
    )
    return tmp_path


def objects(read, about=list):
    """Class and box of each object by the name of the image."""
    return {
        split: {
            each.images[key].rpartition('/')[2]: [
                (each.classes[label], about(box)) for *box, label in boxes
            ]
            for key, boxes in each.boxes.items()
        }
        for split, each in read.items()
    }


@pytest.mark.parametrize(
    'train, val',
    [
        ('yolo/data.yaml', None),
        ('yolo', 'yolo/data.yaml'),
        ('voc', None),
        ('voc/ImageSets/Main/train.txt', 'voc/ImageSets/Main/val.txt'),
    ],
)
def test_all_layouts_have_the_same_objects(layouts, train, val):
    wanted = read_data(layouts / 'train.json', layouts / 'images', layouts / 'val.json')
    found = read_data(layouts / train, None, val and layouts / val)
    assert len(found['train'].boxes) == 2 and len(found['val'].boxes) == 1
    assert objects(found) == objects(wanted, pytest.approx)
    for each in found.values():
        for name in each.images.values():
            assert (each.root / name).is_file()


def test_validation_and_images_are_asked_for_where_nothing_says(layouts):
    with pytest.raises(UsageError, match='does not say which images are for'):
        read_data(layouts / 'train.json', layouts / 'images')
    with pytest.raises(UsageError, match='does not say where its images are'):
        read_data(layouts / 'train.json', val=layouts / 'val.json')
    with pytest.raises(UsageError, match='images holds no annotations'):
        read_data(layouts / 'images')
    with pytest.raises(UsageError, match='There is no .*none.yaml'):
        read_data(layouts / 'none.yaml')
    path = layouts / 'yolo/data.yaml'
    path.write_text(path.read_text().replace('val:', 'test:'))
    with pytest.raises(
        UsageError, match='data.yaml has no "val", only train and test. Add it'
    ):
        read_data(path)


def test_classes_are_a_choice_in_all_layouts(layouts):
    found = read_data(layouts / 'yolo', classes=['washer', 'nut'])
    assert found['train'].classes == found['val'].classes == ('washer', 'nut')
    # Whether other classes are there or not.
    for classes in (['washr', 'nut'], ['washr']):
        with pytest.raises(
            UsageError, match=r'no category washr\. Did you mean washer\? It has .*nut'
        ):
            read_data(layouts / 'yolo', classes=classes)
    with pytest.raises(UsageError, match='no category hammer. It has'):
        read_data(layouts / 'yolo', classes=['hammer', 'nut'])


def test_a_malformed_line_is_named(layouts):
    path = layouts / 'yolo/labels/val/3.txt'
    path.write_text('0 .5 .5 .2\n')
    with pytest.raises(SoCoError, match=rf'{path}:1: 4 values'):
        read_data(layouts / 'yolo')


def test_the_hash_is_of_the_labels(layouts):
    """So that a run is not continued with others."""
    for name, place in (
        ('yolo', 'yolo/labels/train/1.txt'),
        ('voc', 'voc/Annotations/1.xml'),
    ):
        before = hash_of(read_data(layouts / name)['train'])
        assert hash_of(read_data(layouts / name)['train']) == before
        text = (layouts / place).read_text()
        (layouts / place).write_text(
            text.replace('<xmin>6', '<xmin>7') if name == 'voc' else f'0{text[1:]}'
        )
        assert hash_of(read_data(layouts / name)['train']) != before


def read_one(folder, name):
    """One image of 50 x 40 pixels and an object, for training and evaluation."""
    content = dict(
        images=[dict(id=1, file_name=name, width=50, height=40)],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[3, 4, 20, 20])],
        categories=[dict(id=1, name='hand')],
    )
    (folder / 'a.json').write_text(json.dumps(content))
    return read_data(folder / 'a.json', folder, folder / 'a.json')


def test_a_loss_of_depth_is_said_for_what_the_detector_reads(tmp_path, caplog):
    rng = np.random.default_rng(0)
    narrow = rng.integers(51200, 51200 + 600, (40, 50)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'a.png'), narrow)
    sources = read_one(tmp_path, 'a.png')
    check_pixels(sources, (0.5, 99.5))
    assert not caplog.records
    check_pixels(sources, None)
    warning, _ = caplog.messages  # of train and val
    assert '3 grey levels of' in warning
    assert 'pretrain with --stretch 0.5 99.5 to use the whole range' in warning
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((40, 50), np.uint8))
    caplog.clear()
    check_pixels(sources, None)
    assert not caplog.records


def test_images_that_only_a_stretch_reads_are_refused_before_the_training(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.tif'), np.zeros((40, 50), np.float32))
    sources = read_one(tmp_path, 'a.tif')
    check_pixels(sources, (0.5, 99.5))
    with pytest.raises(SoCoError, match=r'a\.tif, which has pixels of 32 bits'):
        check_pixels(sources, None)


def test_every_tiff_that_would_be_misread_is_named(tmp_path):
    """Also among more images than a sample, and of 8 bits."""
    names = [f'{index:03d}.tif' for index in range(200)]
    good = make_tiff(ramp(np.uint8)).tobytes()
    for name in names:
        (tmp_path / name).write_bytes(good)
    content = dict(
        images=[
            dict(id=index, file_name=name, width=40, height=24)
            for index, name in enumerate(names)
        ],
        annotations=[dict(id=1, image_id=1, category_id=1, bbox=[3, 4, 20, 20])],
        categories=[dict(id=1, name='hand')],
    )
    path = tmp_path / 'a.json'
    path.write_text(json.dumps(content))
    check_pixels(read_data(path, tmp_path, path), None)
    for pixels, options, reason in (
        (ramp(np.uint8), dict(photometric=GREY), '3 bands that are not marked as RGB'),
        (ramp(np.uint8, 4), dict(extra=2), 'fourth band is marked as alpha'),
        (ramp(np.int8, 1), dict(photometric=GREY), 'signed pixels'),
    ):
        for name in names[101:104]:  # between those of a sample
            (tmp_path / name).write_bytes(make_tiff(pixels, **options).tobytes())
        with pytest.raises(SoCoError, match=rf'101\.tif, which .*{reason}') as refused:
            check_pixels(read_data(path, tmp_path, path), None)
        assert ', and 2 more such.' in str(refused.value)
        assert ('pretrain with --stretch' in str(refused.value)) == (reason[0] == 's')


def test_images_of_another_pascal_voc_are_its_own(layouts):
    """As Roboflow writes them, with names that all splits have."""
    for split in ('train', 'valid'):
        (layouts / 'splits' / split).mkdir(parents=True)
        for number, name in ((1, 'a'), (3, 'b')):
            shutil.copy(
                layouts / f'images/{number}.png',
                layouts / 'splits' / split / f'{name}.png',
            )
            shutil.copy(
                layouts / f'voc/Annotations/{number}.xml',
                layouts / 'splits' / split / f'{name}.xml',
            )
    train, valid = layouts / 'splits/train', layouts / 'splits/valid'
    found = read_data(train, train, valid)
    assert (found['train'].root, found['val'].root) == (train, valid)
    assert shared(found['train'], found['val']) == ''
    # Where it has none, and where another folder is named.
    for path in valid.glob('*.png'):
        path.unlink()
    found = read_data(train, train, valid)
    assert found['val'].root == train
    assert '(if only their names are equal, give --val-images)' in shared(
        found['train'], found['val']
    )
    found = read_data(train, train, layouts / 'voc', layouts / 'images')
    assert found['val'].root == layouts / 'images'
    # Lists of one data set have the same images.
    main = layouts / 'voc/ImageSets/Main'
    shutil.copytree(layouts / 'images', layouts / 'better')
    found = read_data(main / 'train.txt', layouts / 'better', main / 'val.txt')
    assert found['val'].root == layouts / 'better'


def test_a_class_is_named_once(layouts):
    with pytest.raises(UsageError, match='The class nut is named twice'):
        read_data(layouts / 'yolo', classes=['nut', 'washer', 'nut'])
