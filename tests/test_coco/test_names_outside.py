"""Names in annotations do not lead out of the folder of the data."""

import json
import os

import pytest
from PIL import Image

from soco_mm.coco import read_annotations, read_source
from soco_mm.coco.files import path_below
from soco_mm.proposals import ProposalStore
from soco_mm.proposals.box_files.importing import import_proposals
from soco_mm.proposals.filters import STATUS
from soco_mm.proposals.layout import Proposals
from soco_mm.proposals.listing import list_input
from soco_mm.utils import SoCoError, UsageError


@pytest.fixture
def data(tmp_path):
    """A data set with one image, beside another, secret one."""
    for name in ('set/images/a.png', 'secret/images/b.png', 'settle/b.png'):
        (tmp_path / name).parent.mkdir(parents=True)
        Image.new('RGB', (40, 30)).save(tmp_path / name)
    for name in ('set/labels/a.txt', 'secret/labels/b.txt'):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text('0 .5 .5 .2 .2')
    return tmp_path / 'set'


OUTSIDE = [
    '../secret/images/b.png',
    '../settle/b.png',  # begins with the name of the folder
    'images/../../secret/images/b.png',
    'none/../../secret/images/b.png',
    '{secret}/images/b.png',
    '{set}/../secret/images/b.png',
    r'..\secret\images\b.png',
    r'C:\secret\images\b.png',
    'images/a.png\0../../secret/images/b.png',
]


def coco(path, *names):
    """A COCO json with one object on each image."""
    content = dict(
        images=[dict(id=i, file_name=name) for i, name in enumerate(names)],
        categories=[dict(id=1, name='nut')],
        annotations=[
            dict(id=i + 1, image_id=i, category_id=1, bbox=[2, 2, 9, 9])
            for i in range(len(names))
        ],
    )
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize('name', OUTSIDE)
def test_no_reader_of_coco_or_lists_opens_an_image_outside(name, data, tmp_path):
    name = name.format(set=data, secret=tmp_path / 'secret')
    path = coco(data / 'coco.json', 'images/a.png', name)
    with pytest.raises(SoCoError, match='is missing|not below|cannot be the name') as e:
        read_annotations(path, data)
    assert '\n' not in str(e.value) and '\0' not in str(e.value)
    for call in (
        lambda: import_proposals(path, tmp_path / 'store', images=data),
        lambda: list_input(path, data),
    ):
        try:
            call()
        except UsageError as error:
            assert '\n' not in str(error) and '\0' not in str(error)
    if (tmp_path / 'store').exists():
        assert list(ProposalStore.open(tmp_path / 'store')) == ['images/a.png']
    if '\0' not in name:
        (data / 'list.txt').write_text(f'images/a.png\n{name}\n')
        try:
            listed = list_input(data / 'list.txt').paths
        except UsageError as error:
            assert 'not below' in str(error)
        else:  # a name of another system, of which no such file exists
            files = [each for each in listed if os.path.isfile(data / each)]
            assert files == ['images/a.png']


def test_a_folder_that_the_user_names_may_hold_them_all(data, tmp_path):
    path = coco(data / 'coco.json', 'set/images/a.png', f'{tmp_path}/settle/b.png')
    found = read_annotations(path, tmp_path)
    assert list(found.images.values()) == ['set/images/a.png', 'settle/b.png']


def test_a_link_in_the_folder_is_the_users_own(data, tmp_path):
    (data / 'link').symlink_to(tmp_path / 'secret/images')
    path = coco(data / 'coco.json', 'images/a.png', 'link/b.png')
    found = read_annotations(path, data)
    assert list(found.images.values()) == ['images/a.png', 'link/b.png']
    # But no name goes on from where it leads to.
    coco(path, 'images/a.png', 'link/../../settle/b.png')
    with pytest.raises(SoCoError, match='not below'):
        read_annotations(path, data)


@pytest.mark.parametrize(
    'place',
    [
        '../secret/images',
        '{secret}/images',
        'images/../../secret/images',
        r'..\secret\images',
        '../set.txt',
        'list.txt',
    ],
)
def test_a_split_of_yolo_stays_in_the_folder(place, data, tmp_path):
    secret = tmp_path / 'secret'
    for name in ('set.txt', 'set/list.txt'):
        (tmp_path / name).write_text(f'{secret}/images/b.png\n../secret/images/b.png\n')
    text = f'train: {place.format(secret=secret)}\nnames: [nut]\n'
    (data / 'data.yaml').write_text(text)
    with pytest.raises(UsageError, match='not in .*/set') as error:
        read_source(data / 'data.yaml')
    assert '\n' not in str(error.value)
    # A folder above both, named by the user or by "path", may hold it.
    found = read_source(data / 'data.yaml', root=tmp_path)
    assert [each['file_name'] for each in found.content['images']] == [
        'secret/images/b.png'
    ]
    (data / 'data.yaml').write_text('path: ..\n' + text)
    found = read_source(data / 'data.yaml')
    assert len(found.content['images']) == 1
    assert f'"path" says so ({tmp_path})' in '\n'.join(found.account.lines())


def test_lists_and_xml_files_of_voc_name_only_what_is_there(data, tmp_path):
    xml = (
        '<annotation><filename>{}</filename><size><width>40</width><height>30'
        '</height></size><object><name>nut</name><bndbox><xmin>1</xmin><ymin>1</ymin>'
        '<xmax>9</xmax><ymax>9</ymax></bndbox></object></annotation>'
    )
    for folder in (data, tmp_path / 'secret'):
        (folder / 'Annotations').mkdir()
    (tmp_path / 'secret/Annotations/b.xml').write_text(xml.format('b.png'))
    outside = tmp_path / 'secret/images/b.png'
    (data / 'Annotations/c.xml').write_text(xml.format(outside))
    with pytest.raises(UsageError, match='The image of .*c.xml is not in'):
        read_source(data, data / 'images')
    (data / 'ImageSets/Main').mkdir(parents=True)
    listed = data / 'ImageSets/Main/train.txt'
    listed.write_text('../../secret/Annotations/b\n')
    with pytest.raises(UsageError, match='train.txt:1: there is no'):
        read_source(listed, data / 'images')


@pytest.mark.parametrize('path', ['../b.png', '/b.png', 'a/../../b.png'])
def test_a_store_of_proposals_names_none_either(path, tmp_path):
    whole = [[0, 0, 40, 30]]
    ProposalStore.write(
        tmp_path / 'store', {}, [Proposals(path, whole, (40, 30), len(STATUS) - 1)]
    )
    with pytest.raises(SoCoError, match='is not below the folder of images'):
        list(ProposalStore.open(tmp_path / 'store'))


def test_odd_names_below_a_folder_are_kept():
    for name in ('a..b/..c.png', '...', 'a b/é.png', '~/a.png'):
        assert path_below('/data', name) == name
