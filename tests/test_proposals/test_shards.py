import functools
import json
import operator

import numpy as np
import pytest

from soco_mm.proposals import Proposals, ProposalStore, build_settings
from soco_mm.proposals.layout import unusable
from soco_mm.proposals.make import merge_proposals
from soco_mm.proposals.presets import made_with
from soco_mm.proposals.shards import hash_listing, merge_shards, open_shards, take_shard
from soco_mm.utils import SoCoError, UsageError

PATHS = [f'{i:02}.jpg' for i in range(11)]


def result(path):
    number = int(path[:2])
    if number % 4 == 3:
        return unusable(path, 'is broken')
    boxes = np.arange(4 * (number + 1), dtype=np.float32).reshape(-1, 4)
    failure = 'the generator failed' if number == 5 else None
    return Proposals(path, boxes, (number + 9, 8), number % 3, failure)


def write(folder, index, count, paths=PATHS, make=result, **changes):
    shard = dict(index=index, count=count) if count else None
    settings = json.loads(json.dumps(build_settings(**changes)))
    ProposalStore.write(
        folder,
        dict(
            settings,
            root='/images',
            made_with=made_with(),
            listing=hash_listing(paths),
            shard=shard,
        ),
        map(make, take_shard(paths, index, count) if count else paths),
    )
    return folder


@pytest.mark.parametrize('count', [1, 3, 8, 14])
def test_merged_shards_are_the_bytes_of_an_unsharded_store(tmp_path, count):
    whole = write(tmp_path / 'whole', 0, 0)
    shards = [write(tmp_path / str(i), i, count) for i in range(count, 0, -1)]
    merge_shards(*open_shards(shards), tmp_path / 'merged')
    names = sorted(path.name for path in whole.iterdir())
    assert names == sorted(p.name for p in (tmp_path / 'merged').iterdir())
    for name in names:
        assert (whole / name).read_bytes() == (
            tmp_path / 'merged' / name
        ).read_bytes(), name


def test_shards_with_fewer_failures_are_merged_again(tmp_path):
    """Of the same images: one was unreadable, on one the generator failed."""

    def retried(path):
        each = result(path)._replace(failure=None)
        return each if len(each.boxes) else result('02.jpg')._replace(path=path)

    shards = [write(tmp_path / str(i), i, 2) for i in (1, 2)]
    merged = tmp_path / 'merged'
    assert merge_proposals(shards, merged).left_out == 2
    for index in (1, 2):
        write(shards[index - 1], index, 2, make=retried)
        merge_proposals(shards, merged)
    whole = write(tmp_path / 'whole', 0, 0, make=retried)
    for each in whole.iterdir():
        assert each.read_bytes() == (merged / each.name).read_bytes(), each.name
    assert merge_proposals(shards, merged).kept == len(PATHS)


def test_overlapping_missing_and_foreign_shards_are_refused(tmp_path):
    one, two, three = (write(tmp_path / f's{i}', i, 3) for i in (1, 2, 3))
    half = write(tmp_path / 'half', 2, 2)
    images = write(tmp_path / 'images', 2, 3, PATHS[:-1])
    settings = write(tmp_path / 'settings', 2, 3, scale=3)
    whole = write(tmp_path / 'whole', 0, 0)
    for shards, words in (
        ([one, three], 'Of 3 shards, 2 is missing'),
        ([two], '1, 3 are missing'),
        ([one, two, one, three], 'both shard 1 of 3'),
        ([one, half, three], 'one of 2 shards'),
        ([one, images, three], 'another set of images'),
        ([one, settings, three], 'generator.scale 3, not 500'),
        ([one, two, three, whole], 'is not a shard'),
    ):
        with pytest.raises(UsageError, match=words):
            open_shards(shards)


def test_damage_inside_a_shard_is_found(tmp_path):
    paths = [f'{i % 100:02}-{i}.jpg' for i in range(4000)]
    shards = [write(tmp_path / str(i), i, 2, paths) for i in (1, 2)]
    boxes = shards[0] / 'boxes.npy'
    data = bytearray(boxes.read_bytes())
    data[5000] ^= 1  # between the samples that opening reads
    boxes.write_bytes(data)
    stores, header = open_shards(shards)
    with pytest.raises(SoCoError, match='boxes.npy is damaged'):
        merge_shards(stores, header, tmp_path / 'merged')
    assert not (tmp_path / 'merged').exists()


def test_a_cut_list_of_failures_is_found(tmp_path):
    one = write(tmp_path / 'one', 0, 0)
    failures = one / 'failures.jsonl'
    failures.write_text(failures.read_text()[:-5])
    with pytest.raises(SoCoError, match='failures.jsonl is damaged'):
        ProposalStore.open(one)


def test_every_image_is_in_one_shard_whatever_others_there_are():
    many = [f'{i}.jpg' for i in range(1000)]
    shards = [take_shard(many, i, 4) for i in range(1, 5)]
    assert sorted(functools.reduce(operator.iadd, shards, [])) == sorted(many)
    assert all(200 < len(shard) < 300 for shard in shards)
    assert take_shard(many[::3], 2, 4) == [
        path for path in many[::3] if path in shards[1]
    ]
