"""What a process reads of checkpoints once soco_mm is imported."""

import os
import subprocess
import sys

import pytest
import torch
from attack import Attack
from commands import call

from soco_mm.weights_only import FORBID, FORCE, only_weights

LOAD = 'import soco_mm, sys, torch; torch.load(sys.argv[1], weights_only=False)'


@pytest.mark.parametrize(
    'environment, safe, says',
    [
        ({}, True, ''),
        ({FORCE: '1'}, True, ''),
        ({FORBID: '1'}, True, f'{FORBID} is ignored'),
        ({FORCE: '0'}, False, ''),
        ({FORCE: '0', FORBID: '1'}, False, ''),
    ],
)
def test_an_import_makes_every_load_safe_unless_the_user_decides(
    environment, safe, says, tmp_path
):
    torch.save(Attack(tmp_path / 'marker'), tmp_path / 'attack.pt')
    inherited = {k: v for k, v in os.environ.items() if k not in (FORCE, FORBID)}
    done = subprocess.run(
        [sys.executable, '-c', LOAD, tmp_path / 'attack.pt'],
        env=inherited | environment,
        capture_output=True,
        text=True,
    )
    assert (tmp_path / 'marker').exists() != safe
    assert (done.returncode != 0) == safe
    assert ('weights_only' in done.stderr) == safe  # PyTorch's refusal
    assert says in done.stderr


def test_a_command_is_safe_whatever_the_environment_says(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(FORCE, '0')
    monkeypatch.setenv(FORBID, '1')
    torch.save(Attack(tmp_path / 'marker'), tmp_path / 'attack.pt')
    out = tmp_path / 'out.pth'
    done = call(capsys, 'import', tmp_path / 'attack.pt', '--out', out)
    assert (done.returncode, os.environ[FORCE]) == (1, '1')
    assert FORBID not in os.environ and f'{FORBID} is ignored' in done.stdout
    assert 'could run code' in done.stderr
    with pytest.raises(Exception, match='weights_only'):
        torch.load(tmp_path / 'attack.pt', weights_only=False)
    assert not (tmp_path / 'marker').exists()


def test_a_job_leaves_the_environment_as_it_was(monkeypatch):
    monkeypatch.setenv(FORCE, '0')
    monkeypatch.setenv(FORBID, '1')
    with only_weights():
        assert (os.environ[FORCE], os.environ.get(FORBID)) == ('1', None)
    assert (os.environ[FORCE], os.environ[FORBID]) == ('0', '1')
