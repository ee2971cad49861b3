"""What the set-up refuses before it changes anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from soco_mm.openmmlab import NEEDED, family


def set_up(*arguments, path=''):
    folder = Path(sys.executable).parent
    return subprocess.run(
        ['bash', 'tools/setup_env.sh', *arguments],
        cwd=ROOT,
        env=dict(
            os.environ,
            PATH=f'{folder}:{os.environ["PATH"]}',
            PYTHON='python',
            PYTHONPATH=str(path),
        ),
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize('arguments', [['--stack'], ['--stack', 'mmlab'], ['--her']])
def test_a_wrong_argument_ends_in_a_sentence(arguments):
    done = set_up(*arguments)
    assert (done.returncode, done.stderr.count('\n')) == (2, 1)
    assert '--stack' in done.stderr and done.stdout == ''


def test_a_second_family_is_not_installed_over_the_first(tmp_path):
    (other,) = NEEDED.keys() - {family()}
    name = NEEDED[other][0]
    folder = tmp_path / f'{name.replace("-", "_")}-0.10.7.dist-info'
    folder.mkdir()
    (folder / 'METADATA').write_text(f'Name: {name}\nVersion: 0.10.7\n')
    done = set_up('--here', '--force', '--stack', family(), path=tmp_path)
    assert (done.returncode, done.stdout) == (1, '')
    assert f'{name} is installed, of the other family' in done.stderr
    assert 'pip uninstall -y mmengine' in done.stderr


def test_an_environment_that_is_there_needs_no_other_python(tmp_path):
    (tmp_path / 'tools').mkdir()
    (tmp_path / 'tools/setup_env.sh').symlink_to(ROOT / 'tools/setup_env.sh')
    old = tmp_path / 'python3'
    old.write_text('#!/bin/sh\necho Python 3.9.0\nexit 1\n')
    old.chmod(0o755)
    environment = dict(os.environ, PATH=f'{tmp_path}:{os.environ["PATH"]}')
    environment.pop('PYTHON', None)

    def set_up():
        return subprocess.run(
            ['bash', tmp_path / 'tools/setup_env.sh'],
            env=environment,
            capture_output=True,
            text=True,
        ).stderr

    assert 'Python 3.9.0 is not supported' in set_up()
    (tmp_path / '.venv/bin').mkdir(parents=True)
    (tmp_path / '.venv/bin/python').symlink_to(sys.executable)
    # The next thing that it needs is not in this folder.
    assert 'is not supported' not in set_up()
