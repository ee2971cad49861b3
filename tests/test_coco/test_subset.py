"""Seeded subsets of annotations."""

import itertools
import json
from pathlib import Path

import pytest
from commands import call

from soco_mm.coco import coco_subset
from soco_mm.utils import UsageError

TOOL = Path(__file__).parents[2] / 'tools/benchmarks/coco_subset.py'


@pytest.fixture
def content():
    return dict(
        info=dict(year=2017),
        categories=[dict(id=1, name='a'), dict(id=2, name='b')],
        images=[dict(id=7 * n, file_name=f'{n}.jpg') for n in range(200)],
        annotations=[
            dict(id=n, image_id=7 * (n % 200), category_id=1 + n % 2)
            for n in range(500)
        ],
    )


def ids(subset):
    return [image['id'] for image in subset['images']]


def test_images_are_drawn_with_their_annotations(content):
    subset = coco_subset(content, 0.05)
    assert len(subset['images']) == 10
    assert ids(subset) == sorted(ids(subset))  # the order of the file
    assert subset['annotations'] == [
        each for each in content['annotations'] if each['image_id'] in ids(subset)
    ]
    assert subset['categories'] == content['categories']
    assert subset['info'] == content['info']


def test_seed_and_ids_alone_decide(content):
    drawn = [set(ids(coco_subset(content, 0.1, seed))) for seed in range(4)]
    # Of 20 out of 200, two draws share 2 on average.
    assert all(
        len(first & second) < 12
        for first in drawn
        for second in drawn
        if first is not second
    )
    content['images'].reverse()
    assert set(ids(coco_subset(content, 0.1, 3))) == drawn[3]


def test_smaller_shares_are_part_of_larger_ones(content):
    sets = [
        set(ids(coco_subset(content, share, 5))) for share in (0.001, 0.05, 0.1, 0.5, 1)
    ]
    assert [len(each) for each in sets] == [1, 10, 20, 100, 200]
    assert all(small < large for small, large in itertools.pairwise(sets))


@pytest.mark.parametrize('fraction', [0, -0.1, 1.01, float('nan')])
def test_shares_out_of_range_are_refused(content, fraction):
    with pytest.raises(UsageError, match='fraction of the images'):
        coco_subset(content, fraction)


def test_what_is_not_coco_is_refused():
    for content in ([], dict(images=[]), dict(images=[1], annotations=[])):
        with pytest.raises(UsageError, match='COCO json'):
            coco_subset(content, 0.5)
    with pytest.raises(UsageError, match='no image'):
        coco_subset(dict(images=[], annotations=[]), 0.5)
    odd = dict(images=[dict(id=1, file_name='a.jpg')], annotations=[dict(image_id=[1])])
    with pytest.raises(UsageError, match='annotation 0'):
        coco_subset(odd, 0.5)


def test_the_command_writes_the_same_bytes_every_time(content, tmp_path, capsys):
    source = tmp_path / 'instances train.json'
    source.write_text(json.dumps(content))

    assert '100 images' in call(capsys, source, tool=TOOL).stdout
    paths = [tmp_path / f'instances train_{n}pct.json' for n in (5, 10, 50)]
    before = [path.read_bytes() for path in paths]
    call(capsys, source, '--out', tmp_path, tool=TOOL)
    assert [path.read_bytes() for path in paths] == before
    failed = call(capsys, tmp_path / 'nothing.json', tool=TOOL)
    assert failed.returncode == 2 and 'cannot be read' in failed.stderr
