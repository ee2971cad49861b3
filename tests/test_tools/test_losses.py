"""Losses that are recorded and compared, the proof that a change keeps them."""

import functools
import json
import sys
from pathlib import Path

import pytest
from commands import call, run
from conftest import ROOT

TOOLS = ROOT / 'tools/analysis_tools'
RECORDED = ROOT / 'tests/data/losses'
# Another processor rounds differently. With other instructions (AVX2 instead
# of AVX-512, or none) the losses of the first two steps differed by 3e-5 at
# the most and those of the sixth by 7e-2: every step amplifies the difference.
STEPS, TOLERANCE = 2, 1e-3


@pytest.fixture
def compare(capsys):
    """Compare two files or folders of losses."""
    return functools.partial(call, capsys, tool=TOOLS / 'compare_losses.py')


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def losses(tmp_path):
    """A function that writes a file of losses as a training logs them."""

    def write(name, values):
        path = tmp_path / name
        lines = [
            json.dumps(dict(step=step, loss=value, lr=0.1, time=len(name)))
            for step, value in enumerate(values, 1)
        ]
        path.write_text('\n'.join(lines))
        return path

    return write


@pytest.mark.slow
def test_five_recipes_train_as_recorded_in_the_repository(tmp_path, compare):
    run([sys.executable, TOOLS / 'record_losses.py', tmp_path])
    assert len(list(RECORDED.glob('*.json'))) == 5
    compared = compare(RECORDED, tmp_path)
    names = sorted(path.name for path in RECORDED.glob('*.json'))
    here = {name: rows(tmp_path / name) for name in names}
    before = {name: rows(RECORDED / name) for name in names}
    if all(here[name][0] == before[name][0] for name in names):  # the same machine
        assert compared.returncode == 0, compared.stdout
        assert compared.stdout.count('bit-equal') == 5
    for name in names:
        assert len(here[name]) == len(before[name]) == 7  # the machine and six steps
        for now, then in zip(here[name][1 : 1 + STEPS], before[name][1 : 1 + STEPS]):
            assert now == pytest.approx(then, abs=TOLERANCE, rel=0), name


def test_losses_of_equal_bits_are_equal_whatever_else_is_logged(losses, compare):
    first = losses('a.json', [-0.1, float('nan')])
    second = losses('longer.json', [-0.1, float('nan')])
    compared = compare(first, second)
    assert (compared.returncode, compared.stderr) == (0, '')
    assert compared.stdout == 'a.json: bit-equal (2 losses)\n'


def test_the_first_difference_is_told_down_to_the_last_bit(losses, compare):
    first = losses('a.json', [0.5, 0.1, 3.0])
    second = losses('b.json', [0.5, 0.1 + 2**-56, 4.0])
    compared = compare(first, second)
    assert compared.returncode == 1
    assert 'step 2: loss is 0.1 in' in compared.stdout
    assert '0.10000000000000002' in compared.stdout
    shorter = losses('c.json', [0.5, 0.1])
    compared = compare(first, shorter)
    assert compared.returncode == 1
    assert f'step 3: {shorter} has no loss' in compared.stdout


def test_what_holds_no_losses_is_refused(losses, tmp_path, compare):
    good = losses('a.json', [1.0])
    empty = tmp_path / 'empty.json'
    empty.write_text('{"lr": 1}\n')
    text = tmp_path / 'text.json'
    text.write_text('no json')
    other = tmp_path / 'other'
    other.mkdir()
    for arguments, message in (
        ((good, empty), 'empty.json holds no losses'),
        ((good, text), 'text.json is not JSON lines'),
        ((good, tmp_path / 'none'), 'none cannot be read: No such file'),
        ((good, tmp_path), 'must be two files or two folders'),
        ((tmp_path, other), 'must hold loss files'),
    ):
        refused = compare(*arguments)
        assert refused.returncode == 2
        assert message in refused.stderr and refused.stderr.count('\n') == 1
