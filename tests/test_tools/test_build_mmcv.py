import importlib.util
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT

spec = importlib.util.spec_from_file_location(
    'build_mmcv', ROOT / 'tools/build_mmcv.py'
)
build_mmcv = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build_mmcv)


@pytest.mark.parametrize(
    'log, advice',
    [
        ('fatal error: Python.h: No such file or directory', 'python3-dev'),
        ('c++: fatal error: Killed signal terminated program cc1plus', 'MAX_JOBS=1'),
        ('OSError: [Errno 28] No space left on device', 'disk is full'),
        ("error: command 'g++' failed: No such file or directory", 'build-essential'),
        ("ModuleNotFoundError: No module named 'pkg_resources'", 'setuptools<80'),
        ('ERROR: No matching distribution found for mmcv', 'network'),
        ('something else', 'does not know'),
    ],
)
def test_failed_build_is_explained(tmp_path, log, advice):
    (tmp_path / 'log').write_text(log)
    assert advice in build_mmcv.explain(tmp_path / 'log')


def test_missing_compiler_is_named_before_the_download(monkeypatch, capsys):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(SystemExit):
        build_mmcv.check_compiler()
    assert 'no-such-compiler' in capsys.readouterr().err


def test_cpu_build_of_pytorch_takes_cpu_ops(monkeypatch):
    torch = SimpleNamespace(version=SimpleNamespace(cuda=None))
    assert build_mmcv.cuda_version(torch) == ''
    torch.version.cuda = '13.0'
    monkeypatch.setenv('FORCE_CUDA', '0')
    assert build_mmcv.cuda_version(torch) == ''


def test_progress_is_read_from_the_output(tmp_path, capsys):
    code = 'print("[1/4] c++ a"); print("x"); print("[4/4] c++ d")'
    assert (
        build_mmcv.run_logged([sys.executable, '-c', code], tmp_path / 'log', None) == 0
    )
    first, last = capsys.readouterr().err.splitlines()
    assert '1/4 units' in first and 'left' in first
    assert '4/4 units' in last and 'linking' in last
    assert (tmp_path / 'log').read_text().count('c++') == 2


@pytest.mark.parametrize(
    'elapsed, done, total, parallel, left',
    [
        (30, 1, 8, 1, 210),  # one at a time: seven more of 30 s
        (30, 1, 8, 2, 130),  # the second one is half done: 6.5 / 1.5 * 30
        (90, 7, 8, 2, 6),  # the last one is half done: 0.5 / 7.5 * 90
        (80, 8, 8, 2, 0),
    ],
)
def test_time_left_follows_from_the_units_done(elapsed, done, total, parallel, left):
    assert build_mmcv.seconds_left(elapsed, done, total, parallel) == left


def test_joined_sources_hold_each_source_once(tmp_path):
    names = {
        tmp_path: [f'op_{index}.cpp' for index in range(7)],
        tmp_path / 'cpu': [
            *(f'op_{index}.cpp' for index in range(5)),
            *(name for unit in build_mmcv.CPU_UNITS for name in unit),
        ],
    }
    (tmp_path / 'cpu').mkdir()
    for folder, sources in names.items():
        for name in sources:
            (folder / name).write_text(f'// {folder.name}/{name}\n')
    (tmp_path / 'pybind.cpp').write_text('// pybind\n')
    build_mmcv.join_sources(tmp_path)
    for folder, units in (
        (tmp_path, build_mmcv.UNITS),
        (tmp_path / 'cpu', build_mmcv.CPU_UNITS),
    ):
        # setup.py of MMCV compiles whatever ends in .cpp.
        compiled = sorted(folder.glob('unit_*.cpp'))
        assert {*folder.glob('*.cpp')} == {*compiled, *folder.glob('pybind.cpp')}
        assert len(compiled) == len(units)
        text = '\n'.join(
            (folder / line.split('"')[1]).read_text()
            for path in compiled
            for line in path.read_text().splitlines()
        )
        for name in names[folder]:
            assert text.count(f'// {folder.name}/{name}\n') == 1


def test_another_version_of_mmcv_is_refused(tmp_path, capsys):
    (tmp_path / 'cpu').mkdir()
    with pytest.raises(SystemExit):
        build_mmcv.join_sources(tmp_path)
    assert 'not the version this script knows' in capsys.readouterr().err
