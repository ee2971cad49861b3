import json
import pickle
import resource
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_mm.proposals import Proposals, ProposalStore
from soco_mm.proposals.layout import encode_path, unusable
from soco_mm.utils import SoCoError

paths = st.text(
    st.characters(exclude_categories=['Cs']), min_size=1, max_size=8
).filter(lambda path: path[0] != '/' and '..' not in path.split('/'))


def write(folder, boxes):
    ProposalStore.write(
        folder,
        dict(generator=dict(type='Test')),
        [
            Proposals(path, boxes[path], (10 + len(path), 20), 1)
            for path in sorted(boxes, key=encode_path)
        ],
    )


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(paths, st.integers(1, 3), min_size=1, max_size=12))
def test_store_is_a_dictionary(numbers):
    boxes = {
        path: np.full((number, 4), i, np.float32)
        for i, (path, number) in enumerate(numbers.items())
    }
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / 's', boxes)
        store = ProposalStore.open(Path(folder) / 's')
        assert sorted(store, key=str.encode) == list(store)
        assert set(store) == set(boxes) and len(store) == len(boxes)
        copy = pickle.loads(pickle.dumps(store))
        for path, expected in boxes.items():
            index = store.index(path)
            assert store.path(index) == path and path in store
            np.testing.assert_array_equal(store[path], expected)
            np.testing.assert_array_equal(copy.boxes(index), expected)
            assert store.size(index) == (10 + len(path), 20)
            assert store.status(index) == 'aspect_only'
        with pytest.raises(KeyError):
            store['not there at all']


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / 'store', {'a/b.jpg': np.zeros((3, 4), np.float32)})
    return tmp_path / 'store'


def test_missing_store_is_refused_with_the_command(tmp_path):
    with pytest.raises(SoCoError, match='soco-mm proposals'):
        ProposalStore.open(tmp_path / 'none')


def test_other_version_is_refused(folder):
    header = json.loads((folder / 'header.json').read_text())
    (folder / 'header.json').write_text(json.dumps(dict(header, version=99)))
    with pytest.raises(SoCoError, match='version 99'):
        ProposalStore.open(folder)


def test_changed_header_is_refused(folder):
    header = json.loads((folder / 'header.json').read_text())
    header['generator']['type'] = 'Other'
    (folder / 'header.json').write_text(json.dumps(header))
    with pytest.raises(SoCoError, match='does not have its hash'):
        ProposalStore.open(folder)


def test_array_of_another_store_is_refused(folder, tmp_path):
    write(tmp_path / 'b', {'a/b.jpg': np.ones((3, 4), np.float32)})
    shutil.copy(tmp_path / 'b/boxes.npy', folder / 'boxes.npy')
    with pytest.raises(SoCoError, match='boxes.npy is damaged'):
        ProposalStore.open(folder)


def test_results_come_back_with_those_that_failed(tmp_path):
    boxes = np.float32([[1, 2, 3, 4]])
    results = [
        unusable('a.jpg', 'is empty'),
        Proposals('b.jpg', boxes, (5, 6), 3, 'the generator failed'),
        unusable('c.jpg', 'is damaged'),
        Proposals('d.jpg', boxes, (5, 6), 0),
        unusable('\udce9.jpg', 'is small'),
    ]
    ProposalStore.write(tmp_path / 'store', {}, results)
    store = ProposalStore.open(tmp_path / 'store')
    assert list(store) == ['b.jpg', 'd.jpg']
    back = list(store.results())
    assert [r._replace(boxes=0) for r in back] == [r._replace(boxes=0) for r in results]
    assert [len(r.boxes) for r in back] == [0, 1, 0, 1, 0]
    assert store.header['num_failures'] == 4


def test_opening_reads_the_same_number_of_bytes_whatever_the_length(tmp_path):
    write(
        tmp_path / 'store',
        {f'{i}.jpg': np.full((i % 50 + 1, 4), i) for i in range(20000)},
    )
    opens = []
    for _number in range(2):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        store = ProposalStore.open(tmp_path / 'store')
        opens.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    pages = store.arrays['boxes'].nbytes / resource.getpagesize()
    assert pages > 1500 and opens[1] < 300
    store.verify()


@pytest.mark.parametrize('damage', ['truncate', 'delete', 'shorten'])
def test_damaged_array_is_refused(folder, damage):
    boxes = folder / 'boxes.npy'
    if damage == 'truncate':
        boxes.write_bytes(boxes.read_bytes()[:-8])
    elif damage == 'delete':
        boxes.unlink()
    else:
        np.save(boxes, np.zeros((2, 4), np.float32))
    with pytest.raises(SoCoError, match='boxes.npy'):
        ProposalStore.open(folder)


def test_store_replaces_an_earlier_one_and_leaves_nothing_beside_it(folder):
    write(folder, {'new.jpg': np.ones((1, 4), np.float32)})
    assert list(ProposalStore.open(folder)) == ['new.jpg']
    assert [p.name for p in folder.parent.iterdir()] == ['store']
    shutil.rmtree(folder)
