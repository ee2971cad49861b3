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
    assert '4/4 files' in capsys.readouterr().err
    assert (tmp_path / 'log').read_text().count('c++') == 2
