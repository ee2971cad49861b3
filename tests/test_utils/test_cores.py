import os

import pytest

from soco_mm.utils.cores import loading_workers


@pytest.mark.parametrize('cores, workers', [(1, 1), (8, 8), (16, 16), (128, 16)])
def test_many_cores_do_not_make_a_worker_each(monkeypatch, cores, workers):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(cores)))
    assert loading_workers() == workers
