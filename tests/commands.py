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


def call(capsys, *arguments, tool=None):
    """Run a command in this process.

    Args:
        capsys (CaptureFixture): pytest's.
        *arguments: Of ``soco-mm``, or of the tool.
        tool (str | Path, optional): A program of the repository instead.

    Returns:
        subprocess.CompletedProcess: Exit code and what is printed.
    """
    from soco_mm.cli import main

    arguments, code = list(map(str, arguments)), 0
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:
        try:
            if tool is None:
                main(arguments)
            else:
                patch.setattr(sys, 'argv', [str(tool), *arguments])
                runpy.run_path(str(ROOT / tool), run_name='__main__')
        except SystemExit as stopped:
            code = stopped.code or 0
    printed = capsys.readouterr()
    return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)


def refusal(capsys, *arguments, tool=None):
    """What a command says that refuses what it is given, and its exit code."""
    done = call(capsys, *arguments, tool=tool)
    assert done.returncode != 0
    return done.returncode, done.stderr


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]
