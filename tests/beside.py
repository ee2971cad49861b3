"""Processes beside other libraries, which lie in a folder of their own."""

import os
import subprocess
import sys
from tempfile import TemporaryDirectory

import pytest
from conftest import ROOT
from other_libraries import FOLDER


def needs(library):
    """Skip a test where a library is not installed."""
    return pytest.mark.skipif(
        not (FOLDER / library).is_dir(),
        reason=f'there is no {library} (tests/install_other_libraries.sh)',
    )


def run(code, *arguments, libraries=True):
    """Run a program in the root of the repository.

    Args:
        code (str): The program; beside the libraries ``import import_beside``
            lets it import torchvision.
        *arguments (str): Its arguments.
        libraries (bool): Whether it finds the libraries. Defaults to True.
    """
    path = [ROOT, *[FOLDER, ROOT / 'tests'] * libraries]
    path.append(os.environ.get('PYTHONPATH', ''))
    with TemporaryDirectory() as settings:
        return subprocess.run(
            [sys.executable, '-c', code, *arguments],
            cwd=ROOT,
            env=dict(
                os.environ,
                PYTHONPATH=os.pathsep.join(map(str, path)),
                # Else Ultralytics writes into the home folder and asks the network.
                YOLO_CONFIG_DIR=settings,
                YOLO_OFFLINE='true',
            ),
            capture_output=True,
            text=True,
        )
