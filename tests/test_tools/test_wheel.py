"""The wheel, installed beside the environment and used from an empty folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT

from soco_mm.utils.shipped import configs_root

RECIPE = """\
_base_ = 'soco_mm::soco/soco_r18_fpn_quick.py'
model = dict(
    backbone=dict(base_channels=16),
    neck=dict(in_channels=[16, 32, 64, 128], out_channels=256),
    roi_head=dict(
        bbox_head=dict(in_channels=256, conv_out_channels=32, fc_out_channels=64)
    ),
    projector=dict(in_channels=64, hid_channels=64),
    head=dict(predictor=dict(hid_channels=64)),
)
"""
PIP = [sys.executable, '-m', 'pip', '--disable-pip-version-check', '-q']


def files_of(*folders: Path) -> set[str]:
    """Relative paths of all files that belong into the wheel."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('wheel')
    before = set(ROOT.iterdir())
    command = ['wheel', '--no-build-isolation', '--no-deps', '--no-index']
    subprocess.run([*PIP, *command, '-w', folder, ROOT], check=True)
    assert {path.name for path in set(ROOT.iterdir()) - before} <= {'soco_mm.egg-info'}
    (path,) = folder.glob('*.whl')
    return path


@pytest.fixture
def installed(wheel, tmp_path) -> dict[str, str]:
    """The environment in which the wheel comes before everything else."""
    site = tmp_path / 'site'
    install = ['install', '--no-deps', '--no-index', '--target', site, wheel]
    subprocess.run([*PIP, *install], check=True)
    (tmp_path / 'empty').mkdir()
    path = os.pathsep.join([str(site / 'bin'), os.environ['PATH']])
    return dict(os.environ, PYTHONPATH=str(site), PATH=path, OMP_NUM_THREADS='1')


@pytest.mark.slow
def test_wheel_holds_every_module_config_and_tool(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    package = {name for name in files_of(ROOT / 'soco_mm') if '/.mim/' not in name}
    assert package - names == set()
    shipped = files_of(ROOT / 'configs', ROOT / 'tools') | {'model-index.yml'}
    assert {f'soco_mm/.mim/{name}' for name in shipped} - names == set()
    assert not [name for name in names if name.startswith(('tests', 'demo'))]


@pytest.mark.slow
def test_wheel_pretrains_from_an_empty_folder(installed, tmp_path):
    folder = tmp_path / 'empty'
    (folder / 'small.py').write_text(RECIPE)

    def run(*command):
        result = subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env=installed,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    where = 'import soco_mm.utils.shipped as s; print(s.configs_root())'
    assert Path(run(sys.executable, '-c', where).strip()) == (
        tmp_path / 'site/soco_mm/.mim/configs'
    )
    # The recipe's base is found in the installed package, by MMEngine.
    run(
        'soco-mm', 'pretrain', ROOT / 'demo/images', '--out', 'RUN',
        '--config', 'small.py', '--epochs', '1',
    )  # fmt: skip
    assert (folder / 'RUN/exported/soco_weights.pth').is_file()
    # What "mim train soco_mm small.py" runs.
    train = tmp_path / 'site/soco_mm/.mim/tools/train.py'
    run(
        sys.executable, train, 'RUN/small.py', '--work-dir', 'AGAIN',
    )  # fmt: skip
    assert (folder / 'AGAIN/last_checkpoint').is_file()


def test_clone_uses_its_own_configs():
    assert configs_root() == ROOT / 'configs'


def test_doctor_joins_a_command_and_a_sentence_with_words(installed, tmp_path):
    code = 'from soco_mm.installation import CHECKS; print(*(c.fix for c in CHECKS))'
    advice = subprocess.run(
        [sys.executable, '-c', code],
        cwd=tmp_path / 'empty',
        env=installed,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert 'onedl-mmdetection, then the commands of docs/setup.md' in advice
    assert '&& the' not in advice
