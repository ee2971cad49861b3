import pytest

from soco_mm.apis import doctor


def test_this_installation_is_healthy(capsys):
    assert doctor.check_installation()
    out = capsys.readouterr().out
    assert 'right on' in out and 'found the object' in out
    assert 'mmselfsup 1.0.0' in out and 'FAIL' not in out


def test_failure_is_named_with_the_command_that_mends_it(
        capsys, monkeypatch):
    broken = doctor.Check('nothing of this name', None, 'pip install it')
    monkeypatch.setattr(doctor, 'CHECKS', (broken, ))
    assert not doctor.check_installation(quiet=True)
    out = capsys.readouterr().out
    assert 'FAIL' in out and 'mend it with: pip install it' in out


def test_a_second_opencv_is_noticed(monkeypatch):
    monkeypatch.setattr(doctor, 'version', lambda name: '5.0')
    with pytest.raises(RuntimeError, match='exactly one'):
        doctor.check_one_opencv()
