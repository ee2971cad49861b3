import os
import unicodedata

import numpy as np
import pytest

from soco_mm.coco.files import AmbiguousName, NameFinder, clean_name, walk_files

PATHS = ['a.jpg', 'train/1.png', 'val/1.png', 'val/ü 2.PNG', 'x/val/3.png']


@pytest.mark.parametrize(
    'name, path',
    [
        ('train/1.png', 'train/1.png'),
        ('./val/../val/1.png', 'val/1.png'),
        ('train\\1.png', 'train/1.png'),
        ('C:\\data\\val\\1.png', 'val/1.png'),
        ('/mnt/other/train/1.png', 'train/1.png'),
        ('images/a.jpg', 'a.jpg'),
        ('A.JPG', 'a.jpg'),
        ('val/3.png', 'x/val/3.png'),
        ('3.png', 'x/val/3.png'),
        (unicodedata.normalize('NFD', 'ü 2.png'), 'val/ü 2.PNG'),
        ('test/3.png', None),  # a folder that differs, not one that is missing
        ('4.png', None),
    ],
)
def test_a_name_of_another_machine_is_found_by_its_end(name, path):
    assert NameFinder(PATHS).find(name) == path


@pytest.mark.parametrize('name', ['1.png', 'C:\\1.png'])
def test_a_name_that_fits_several_files_is_refused(name):
    with pytest.raises(AmbiguousName, match='train/1.png and val/1.png'):
        NameFinder(PATHS).find(name)


def test_names_are_found_by_their_ends_as_by_comparing_all(tmp_path):
    """However many files have one name."""
    rng = np.random.default_rng(0)

    def draw():
        parts = rng.choice(['a', 'B', 'c'], rng.integers(0, 4))
        return '/'.join([*parts, rng.choice(['1.png', '2.png'])])

    paths = {draw() for _ in range(25)}
    finder = NameFinder(paths)
    for name in {draw() for _ in range(200)}:
        if name in paths:
            expected = [name]
        else:
            ends = {path: path.lower().split('/')[::-1] for path in paths}
            own = name.lower().split('/')[::-1]
            fits = {
                path: min(len(own), len(end))
                for path, end in ends.items()
                if all(x == y for x, y in zip(own, end))
            }
            best = max(fits.values(), default=0)
            expected = sorted(path for path in fits if fits[path] == best)
        if len(expected) > 1:
            with pytest.raises(
                AmbiguousName, match=f'^{expected[0]} and {expected[1]}$'
            ):
                finder.find(name)
        else:
            assert finder.find(name) == (expected[0] if expected else None)


def test_a_file_is_found_by_its_very_name_first():
    """A backslash can be a part of a name."""
    paths = ['images\\1.png', '1.png']
    assert NameFinder(paths).find('images\\1.png') == 'images\\1.png'
    assert clean_name('images\\1.png') == 'images/1.png'


def test_a_file_is_of_one_name_however_that_is_written():
    finder = NameFinder(['1.png', '2.png', 'x/3.png', 'y/3.png'])
    same = {
        'cam/1.png': '1.png',
        'cam\\.\\1.png': '1.png',
        '/cam/../cam/2.png': '2.png',
    }
    assert finder.find_all([*same, 'none.png']) == (same, None)
    # A whole name is sure, and then the others are not that file.
    assert finder.find_all(['cam1/1.png', '1.png']) == ({'1.png': '1.png'}, None)
    found, unclear = finder.find_all(['cam1/1.png', 'cam/2.png', 'cam2/1.png'])
    assert found == {'cam/2.png': '2.png'}
    assert unclear == 'cam1/1.png and cam2/1.png, which could both be 1.png'
    assert finder.find_all(['3.png']) == (
        {},
        'images that could be x/3.png and y/3.png',
    )


def test_all_files_are_listed_but_hidden_ones(tmp_path):
    for name in ('b/c 1.txt', 'a.png', '.hidden', '.git/x.png'):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b'')
    assert sorted(walk_files(os.fspath(tmp_path))) == ['a.png', 'b/c 1.txt']


def test_linked_folders_are_followed_once(tmp_path):
    for name in ('root/real/1.png', 'root/a/2.png', 'other/deep/3.png'):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_bytes(b'')
    root = tmp_path / 'root'
    for link, target in (
        ('first', 'root/real'),  # which has a path of its own
        ('a/back', 'root'),  # a cycle
        ('a/more', 'other'),
        ('more', 'other/deep'),
        ('.hidden', 'other'),
        ('z', 'nowhere'),
    ):
        (root / link).symlink_to(tmp_path / target)
    (tmp_path / 'other/cycle').symlink_to(root)
    found = ['a/2.png', 'more/3.png', 'real/1.png', 'z']
    assert sorted(walk_files(os.fspath(root))) == found
    (root / 'more').unlink()
    found[1] = 'a/more/deep/3.png'
    assert sorted(walk_files(os.fspath(root))) == found
