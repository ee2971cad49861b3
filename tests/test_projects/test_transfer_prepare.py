"""Data sets of the transfer study, made from clones of their repositories."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import ROOT
from transfer_study import prepare as prepare_module
from transfer_study.data import DATA_SETS
from transfer_study.prepare import SOURCES, prepare
from transfer_study.raccoon import TRAINING

from soco_mm.utils import SoCoError, UsageError

XML = (
    '<annotation><filename>{}</filename>'
    '<size><width>640</width><height>480</height></size>{}</annotation>'
)
OBJECT = (
    '<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax>'
    '<ymax>{}</ymax></bndbox></object>'
)


def write(path, text=''):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_photo(path, width, height):
    path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0, 255, width * height * 3).reshape(height, width, 3)
    assert cv2.imwrite(str(path), ramp.astype(np.uint8))


@pytest.fixture
def accept_any(monkeypatch):
    """Make a data set out of a clone that is not that of the study."""
    sources = {name: each._replace(hash='0' * 12) for name, each in SOURCES.items()}
    monkeypatch.setattr(prepare_module, 'SOURCES', sources)
    monkeypatch.setattr(prepare_module, 'hash_files', lambda *_: '0' * 12)


@pytest.fixture
def blood(tmp_path):
    """A clone with two blood smears."""
    clone = tmp_path / 'blood'
    objects = [('WBC', 0, 5, 286, 480), ('RBC', 9, 9, 9, 9), ('RBC', 3, 4, 5, 6)]
    marked = ''.join(OBJECT.format(*each) for each in objects)
    write(clone / 'BCCD/Annotations/BloodImage_00003.xml', XML.format('x.jpg', ''))
    write(clone / 'BCCD/Annotations/BloodImage_00012.xml', XML.format('x.jpg', marked))
    lists = clone / 'BCCD/ImageSets/Main'
    write(lists / 'train.txt', 'BloodImage_00003\nBloodImage_00012\n')
    write(lists / 'test.txt', 'BloodImage_00003\n')
    write_photo(clone / 'BCCD/JPEGImages/BloodImage_00003.jpg', 64, 48)
    return clone


def contents(data, name):
    sets = DATA_SETS[name].train, DATA_SETS[name].test
    return [json.loads((data / each).read_text()) for each in sets]


def test_blood_cells_keep_their_split_their_ids_and_their_corners(
    blood, tmp_path, accept_any
):
    prepare('bccd', blood, tmp_path / 'data')
    images = tmp_path / 'data' / DATA_SETS['bccd'].images
    assert (images / 'BloodImage_00003.jpg').is_file()
    train, test = contents(tmp_path / 'data', 'bccd')
    assert [each['id'] for each in train['images']] == [3, 12]
    assert [each['id'] for each in test['images']] == [3]
    assert train['annotations'] == [
        dict(
            id=1,
            image_id=12,
            category_id=2,
            bbox=[0, 5, 286, 475],
            area=135850,
            iscrowd=0,
        ),
        dict(id=2, image_id=12, category_id=1, bbox=[3, 4, 2, 2], area=4, iscrowd=0),
    ]


def test_raccoons_are_halved_at_random_and_shrunk_with_their_boxes(
    tmp_path, accept_any
):
    clone = tmp_path / 'clone'
    for number in range(1, 2 * TRAINING + 1):
        name = f'raccoon-{number}'
        # Half the size; the right edge is a column outside of the photo.
        box = OBJECT.format('raccoon', 97, 21, 962, 321)
        write(clone / f'annotations/{name}.xml', XML.format(f'{name}.jpg', box))
        write_photo(clone / f'images/{name}.jpg', 960, 640)
    prepare('raccoon', clone, tmp_path / 'data')
    train, test = contents(tmp_path / 'data', 'raccoon')
    names = [[each['file_name'] for each in part['images']] for part in (train, test)]
    assert [len(each) for each in names] == [TRAINING, TRAINING]
    # As in the published records.
    assert names[0][:3] == ['raccoon-37.jpg', 'raccoon-82.jpg', 'raccoon-119.jpg']
    assert names[1][:2] == ['raccoon-178.jpg', 'raccoon-161.jpg']
    assert train['annotations'][0]['bbox'] == [48.5, 10.5, 431.5, 150.0]
    assert train['annotations'][0]['area'] == 64725.0
    images = tmp_path / 'data' / DATA_SETS['raccoon'].images
    assert cv2.imread(str(images / 'raccoon-37.jpg')).shape == (320, 480, 3)


def test_vehicles_are_split_by_flight_and_their_fractions_become_pixels(
    tmp_path, accept_any
):
    clone = tmp_path / 'clone'
    write(clone / 'aerial.names', 'car')
    for name in ('MOS74.png', 'DJI_0010.JPG', 'harlem-0005.jpg', 'DJI_0006.JPG'):
        write_photo(clone / name, 2048, 1000)
        write(clone / f'{name[:-4]}.txt', '4 .25 .1 .125 .4\n0 .5 .5 .25 .1\n')
    prepare('aerial', clone, tmp_path / 'data')
    train, test = contents(tmp_path / 'data', 'aerial')
    assert train['images'] == [
        dict(id=1, file_name='MOS74.jpg', width=1024, height=500),
        dict(id=2, file_name='DJI_0010.jpg', width=1024, height=500),
    ]
    assert [each['file_name'] for each in test['images']] == ['harlem-0005.jpg']
    boxes = [each['bbox'] for each in train['annotations'][:2]]
    assert boxes == [[192, 0, 128, 150], [384, 225, 256, 50]]
    write(clone / 'MOS74.txt', '0 .5 .5\n')
    with pytest.raises(SoCoError, match=r'MOS74.txt:1: 3 values'):
        prepare('aerial', clone, tmp_path / 'other')


def test_other_annotations_and_folders_are_refused(blood, tmp_path):
    data = tmp_path / 'data'
    with pytest.raises(SoCoError, match='are not those of the study'):
        prepare('bccd', blood, data)
    assert not list(data.iterdir())
    with pytest.raises(UsageError, match='has no images/raccoon-1.jpg. Give a clone'):
        prepare('raccoon', blood, data)
    (data / 'bccd').mkdir()
    with pytest.raises(UsageError, match='is there already'):
        prepare('bccd', blood, data)


def test_the_command_names_the_data_sets_it_makes():
    script = ROOT / 'projects/transfer_study/prepare.py'
    done = subprocess.run(
        [sys.executable, str(script), 'cats', 'a', 'b'], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "'cats' is not one of bccd, raccoon, aerial" in done.stderr
