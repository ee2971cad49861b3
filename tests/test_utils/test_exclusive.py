"""One process at a time makes a folder."""

import pytest

from soco_mm.utils import UsageError, exclusive


@pytest.mark.parametrize('inside', [False, True])
def test_a_folder_is_made_once_at_a_time_however_it_is_named(
    tmp_path, monkeypatch, inside
):
    folder = tmp_path / 'run'
    folder.mkdir()
    monkeypatch.chdir(folder)
    lock = folder / '.lock' if inside else tmp_path / 'run.lock'
    with exclusive('.', 'a run', inside=inside):
        assert lock.is_file()
        for name in (folder, './', '../run'):
            with pytest.raises(UsageError, match='Another process is making a run'):
                with exclusive(name, 'a run', inside=inside):
                    pass
    assert not lock.exists()
