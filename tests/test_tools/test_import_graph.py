"""The import graph of the package, and what its check finds in others."""

import subprocess
import sys

import pytest
from conftest import ROOT

TOOL = ROOT / 'tools/analysis_tools/import_graph.py'

# Rooms of a package in which no room is large: 160 lines.
OTHERS = ['proposals', 'checkpoint', 'visualization', 'datasets', 'models']
OTHERS += ['engine', 'detectors', 'evaluation']


def check(*arguments):
    return subprocess.run(
        [sys.executable, TOOL, *arguments], capture_output=True, text=True
    )


@pytest.fixture
def package(tmp_path):
    """A function that writes a package of modules by path, and checks it."""

    def write(**files):
        root = tmp_path / 'pkg'
        padding = {f'{room}/__init__': '\n' * 20 for room in OTHERS}
        padding |= {f'{room}/__init__': '' for room in ('utils', 'coco')}
        for name, text in (padding | files).items():
            path = root / f'{name}.py'
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return check(root)

    return write


def test_the_package_has_no_circle_no_upward_import_and_no_large_room():
    done = check()
    assert (done.returncode, done.stderr) == (0, '')
    rows = [line.split(' | ') for line in done.stdout.splitlines()[2:]]
    lines = {row[0].strip('| '): int(row[1]) for row in rows}
    rooms = [path for path in (ROOT / 'soco_mm').iterdir() if list(path.glob('*.py'))]
    assert {path.name for path in rooms} <= set(lines)
    by_hand = (ROOT / 'soco_mm/models').rglob('*.py')
    assert lines['models'] == sum(len(p.read_text().splitlines()) for p in by_hand)


def test_imports_of_lower_rooms_are_right(package):
    done = package(
        **{
            'utils/__init__': 'from .files import read',
            'utils/files': 'import os\nread = 1',
            'coco/reading': 'from pkg.utils import files, read\nimport pkg.utils.files',
            'coco/sub/deep': 'from ..reading import files\nfrom ...utils import read',
        }
    )
    assert (done.returncode, done.stderr) == (0, '')
    assert '| coco | 4 | 2.4% | utils |' in done.stdout


@pytest.mark.parametrize(
    'text',
    [
        'from pkg.coco.reading import read',
        'from ..coco import reading',
        'import pkg.coco.reading',
        'def function():\n    from pkg.coco.reading import read',
        'if True:\n    from pkg.coco import reading',
    ],
)
def test_an_upward_import_is_found_wherever_it_stands(package, text):
    done = package(**{'utils/files': text, 'coco/reading': 'read = 1'})
    assert done.returncode == 1
    line = len(text.splitlines())
    assert done.stderr == (
        f'ERROR: utils.files imports coco.reading (line {line}), which is not lower\n'
    )


def test_a_circle_of_modules_is_found_in_a_room(package):
    files = {'utils/a': 'from .b import x', 'utils/b': 'from .c import x'}
    done = package(**files, **{'utils/c': 'from pkg.utils import a'})
    assert done.returncode == 1
    assert 'ERROR: circle: ' in done.stderr
    assert all(f'utils.{name}' in done.stderr for name in 'abc')
    # Imported when it is called: the modules can be loaded in any order.
    done = package(**files, **{'utils/c': 'def f():\n    from pkg.utils import a'})
    assert (done.returncode, done.stderr) == (0, '')


def test_a_room_of_more_than_a_fifth_is_found(package):
    done = package(**{'utils/files': '\n' * 40})  # of 200 lines
    assert (done.returncode, done.stderr) == (0, '')
    done = package(**{'utils/files': '\n' * 41})
    assert done.returncode == 1
    assert done.stderr == 'ERROR: utils has 20.4% of the lines, more than 20%\n'


def test_a_room_without_a_place_in_the_order_is_found(package):
    done = package(**{'attic/__init__': 'import pkg.utils'})
    assert done.returncode == 1
    assert "'attic' has no place in the order" in done.stderr
    done = package(**{'attic/__init__': '', 'utils/files': 'import pkg'})
    assert 'utils.files imports soco_mm (line 1)' in done.stderr
