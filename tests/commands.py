"""The commands of soco-mm, in this process or in one of their own."""

import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOCO_MM = [sys.executable, '-m', 'soco_mm.cli']
KILL = """\
import os
import signal
import sys


def kill(event, arguments):
    if event == 'os.rename' and os.path.basename(arguments[1]) == {name!r}:
        os.killpg(0, signal.SIGKILL)


sys.addaudithook(kill)
"""


def run(command, **kwargs):
    """Run a command in a process, which must succeed.

    Args:
        command (list): The program and its arguments.
        **kwargs: Of :func:`subprocess.run`.
    """
    result = subprocess.run(
        list(map(str, command)), cwd=ROOT, capture_output=True, text=True, **kwargs
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result


def run_and_kill(command, name, folder):
    """Run a command, and kill it just before a file that it wrote gets its name.

    Args:
        command (list): The program, in Python, and its arguments.
        name (str): The file's name.
        folder (Path): An empty folder, for what Python imports at its start.
    """
    (folder / 'sitecustomize.py').write_text(KILL.format(name=name))
    path = os.pathsep.join([str(folder), os.environ.get('PYTHONPATH', '')])
    killed = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=path),
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert killed.returncode == -9, killed.stdout + killed.stderr


def refusal(capsys, *arguments, tool=None):
    """What a command says that refuses what it is given, and its exit code.

    Args:
        capsys (CaptureFixture): pytest's.
        *arguments: Of ``soco-mm``, or of the tool.
        tool (str, optional): A program of the repository instead.
    """
    from soco_mm.cli import main

    arguments = list(map(str, arguments))
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped, pytest.MonkeyPatch.context() as patch:
        if tool is None:
            main(arguments)
        else:
            patch.setattr(sys, 'argv', [tool, *arguments])
            runpy.run_path(str(ROOT / tool), run_name='__main__')
    return stopped.value.code, capsys.readouterr().err


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]
