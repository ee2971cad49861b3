import os
import subprocess
import sys

import beside
import pytest
import torch

from soco_mm import installation
from soco_mm.openmmlab import NEEDED, family


def test_this_installation_is_healthy(capsys):
    assert installation.check_installation()
    out = capsys.readouterr().out
    assert 'right on' in out and 'found the object' in out
    assert f'OpenMMLab family: {family()}\n' in out and 'FAIL' not in out
    assert f'{NEEDED[family()][0]} 0.10.' in out


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_what_is_not_needed_is_said_in_words(capsys):
    installation.check_installation()
    out = capsys.readouterr().out
    assert '[--  ] no GPU: training runs on the CPU\n' in out
    assert 'Error' not in out


def test_failure_is_named_with_the_command_that_fixes_it(capsys, monkeypatch):
    broken = installation.Check('nothing of this name', None, 'pip install it')
    monkeypatch.setattr(installation, 'CHECKS', (broken,))
    assert not installation.check_installation(quiet=True)
    out = capsys.readouterr().out
    assert 'FAIL' in out and 'fix: pip install it' in out
    # An error may know better.
    monkeypatch.setattr(installation, 'OTHER_FIX', 'Error: ')
    assert not installation.check_installation(quiet=True)
    out = capsys.readouterr().out
    assert 'fix: ' in out and 'pip install it' not in out


def test_it_runs_where_nothing_else_does(tmp_path):
    for name in ('cv2', 'mmengine', 'torch', 'numpy'):
        (tmp_path / f'{name}.py').write_text('raise ImportError("broken")')
    result = subprocess.run(
        [sys.executable, '-m', 'soco_mm.cli', 'doctor', '--quiet'],
        env=dict(os.environ, PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1 and result.stderr == ''
    assert result.stdout.count('broken') == result.stdout.count('fix') == 4


def test_a_second_opencv_is_noticed(monkeypatch):
    monkeypatch.setattr(installation, 'version', lambda name: '5.0')
    with pytest.raises(RuntimeError, match='exactly one'):
        installation.check_one_opencv()


@beside.needs('mmpretrain')
def test_packages_that_register_the_same_name_are_named():
    code = (
        'import import_beside\n'  # torchvision is built for CUDA
        'from soco_mm.installation import check_names\n'
        'check_names()'
    )
    done = beside.run(code)
    said = done.stderr.splitlines()[-1]
    assert 'cannot be imported beside the others: ResLayerExtraNorm' in said
    assert 'mmselfsup' in said and 'mmpretrain' in said


def test_both_families_at_once_are_refused(monkeypatch):
    monkeypatch.setattr(installation, 'is_installed', lambda name: True)
    with pytest.raises(RuntimeError, match='mmengine and onedl-mmengine are both'):
        installation.check_family()


@beside.needs('torchvision')
def test_a_torchvision_of_another_pytorch_is_named_with_a_command():
    if beside.run('import torchvision').returncode == 0:
        pytest.skip('torchvision fits this PyTorch')
    done = beside.run('from soco_mm.cli import main; main(["doctor"])')
    assert done.returncode == 1 and done.stderr == ''
    said = done.stdout
    assert '[FAIL] torchvision: RuntimeError: it is built for another PyTorch' in said
    assert 'fix: pip uninstall -y torchvision' in said
