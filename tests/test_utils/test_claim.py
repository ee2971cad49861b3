import os

import pytest

from soco_mm.utils import UsageError
from soco_mm.utils.claim import claim


def test_a_mount_point_is_not_replaced(monkeypatch, tmp_path):
    monkeypatch.setattr(os.path, 'ismount', lambda path: path == tmp_path / 'mounted')
    (tmp_path / 'mounted').mkdir()
    with pytest.raises(UsageError, match='is a mount point.* Give a folder in it'):
        claim(tmp_path / 'mounted', 'a proposal store', 'header.json')
    # What is written in place may be one.
    claim(tmp_path / 'mounted', 'a run', 'job.json', in_place=True)
    claim(tmp_path / 'mounted/store', 'a proposal store', 'header.json')
