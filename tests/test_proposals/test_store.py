import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soco_mm.proposals import ProposalStore
from soco_mm.utils import SoCoError

paths = st.text(
    st.characters(exclude_categories=['Cs']), min_size=1, max_size=8)


def write(folder, boxes):
    ProposalStore.write(folder, dict(preset='paper'), list(boxes),
                        list(boxes.values()), [(10, 20)] * len(boxes),
                        [0] * len(boxes))


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(paths, st.integers(0, 3), min_size=1, max_size=12))
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
        for path, expected in boxes.items():
            np.testing.assert_array_equal(store[path], expected)
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
