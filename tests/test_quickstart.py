"""The quickstart, as a user types it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import ROOT


@pytest.mark.slow
def test_the_quickstart_prints_a_page_that_ends_with_a_picture(tmp_path):
    """In a copy, so that the work_dirs of this clone stay as they are."""
    for folder in ('configs', 'demo', 'tools', 'soco_mm'):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / 'pyproject.toml', tmp_path)  # marks a clone
    # The environment is there.
    (tmp_path / 'tools/setup_env.sh').write_text('')
    result = subprocess.run(
        ['bash', 'tools/quickstart.sh', '--here'],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(
            os.environ,
            PATH=f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
            PYTHONPATH=str(tmp_path),
        ),
    )
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    # A slow machine prints progress more often.
    assert sum(not re.search(r' left\b', line) for line in lines) <= 70
    detector = tmp_path / 'work_dirs/quickstart/detector'
    assert json.loads((detector / 'metrics.json').read_text())['coco/bbox_mAP'] > 0.1
    assert 'xdg-open work_dirs/quickstart/detector/predictions.png' in lines[-2]
    assert (detector / 'predictions.png').is_file()
