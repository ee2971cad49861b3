"""The benchmark of what watching a training costs."""

import json

import commands
import pytest
import small


@pytest.mark.slow
def test_the_ratio_is_that_of_the_seconds(capsys, monkeypatch):
    monkeypatch.syspath_prepend(commands.ROOT / 'tools/analysis_tools')
    done = commands.call(
        capsys,
        '--config', small.SOCO, '--batch-size', 2, '--steps', 1, '--interval', 10,
        tool='tools/analysis_tools/benchmark_health.py',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout[done.stdout.index('{') :])
    cost = found['boxes_seconds'] + found['row_seconds'] / 10
    assert found['ratio'] == pytest.approx(cost / found['step_seconds'], rel=0.05)
    assert 0 < found['start_mib'] < 1.5
