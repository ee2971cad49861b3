import os

import pytest

from soco_mm.utils.cores import loading_workers, usable_cores


@pytest.mark.parametrize('cores, workers', [(1, 1), (8, 8), (16, 16), (128, 16)])
def test_many_cores_do_not_make_a_worker_each(monkeypatch, tmp_path, cores, workers):
    monkeypatch.setattr('soco_mm.utils.cores.QUOTA', tmp_path / 'none')
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(cores)))
    assert loading_workers() == workers


@pytest.mark.parametrize(
    'text, cores',
    [('200000 100000', 2), ('max 100000', 8), ('50000 100000', 1), ('', 8)],
)
def test_a_container_has_the_cores_of_its_quota(monkeypatch, tmp_path, text, cores):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(8)))
    monkeypatch.setattr('soco_mm.utils.cores.QUOTA', tmp_path / 'cpu.max')
    assert usable_cores() == 8
    (tmp_path / 'cpu.max').write_text(text)
    assert usable_cores() == cores == loading_workers()
