"""Files that appear whole or not at all."""

import json
import subprocess
import sys

import pytest

from soco_mm.utils import atomic_write, write_json
from soco_mm.utils.files import atomic_stream

WRITE = """
import sys
from soco_mm.utils import write_json
for number in range(200):
    write_json(sys.argv[1], [int(sys.argv[2])] * (20_000 + number))
"""


def test_several_processes_may_write_one_file(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, [0])
    writers = [
        subprocess.Popen([sys.executable, '-c', WRITE, path, str(number)])
        for number in (1, 2)
    ]
    seen = set()
    while any(each.poll() is None for each in writers):
        numbers = set(json.loads(path.read_text()))
        assert len(numbers) == 1
        seen |= numbers
    assert [each.returncode for each in writers] == [0, 0]
    assert seen >= {1, 2}
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_kill_has_left_is_taken_over(tmp_path):
    (tmp_path / 'a.txt.partial').write_text('the longer text of a killed process')
    atomic_write(tmp_path / 'a.txt', 'short')
    assert (tmp_path / 'a.txt').read_text() == 'short'
    assert [each.name for each in tmp_path.iterdir()] == ['a.txt']


def test_nothing_stays_of_what_fails(tmp_path):
    atomic_write(tmp_path / 'a.txt', 'before')
    with pytest.raises(RuntimeError):
        with atomic_stream(tmp_path / 'a.txt') as stream:
            stream.write('half')
            raise RuntimeError
    assert (tmp_path / 'a.txt').read_text() == 'before'
    assert [each.name for each in tmp_path.iterdir()] == ['a.txt']
