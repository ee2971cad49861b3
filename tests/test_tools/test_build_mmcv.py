import importlib.util
import os
import sys
import tarfile
from pathlib import Path
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
        ('OSError: CUDA_HOME environment variable is not set.', 'FORCE_CUDA=0'),
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


class Torch:
    """What the script asks of PyTorch, for a machine that is not this one."""

    def __init__(self, cuda='13.0', gpus=(), compiled=('sm_80', 'sm_90', 'sm_120')):
        self.__version__ = '2.13.0'
        self.version = SimpleNamespace(cuda=cuda)
        self.cuda = SimpleNamespace(
            is_available=lambda: bool(gpus),
            device_count=lambda: len(gpus),
            get_device_capability=lambda index: gpus[index],
            get_arch_list=lambda: [*compiled, 'compute_120'],
        )


@pytest.fixture
def toolkit(monkeypatch, tmp_path):
    """Set the toolkits of the machine: CUDA_HOME, and the folder of pip's packages."""
    for name in ('FORCE_CUDA', 'TORCH_CUDA_ARCH_LIST', 'LIBRARY_PATH'):
        monkeypatch.delenv(name, raising=False)

    def write(home, release):
        nvcc = home / 'bin/nvcc'
        nvcc.parent.mkdir(parents=True)
        nvcc.write_text(f'#!/bin/sh\necho "tools, release {release}, V1"\n')
        nvcc.chmod(0o755)
        return str(home)

    def use(cuda_home=None, packages=None):
        path = cuda_home and write(tmp_path / 'toolkit', cuda_home)
        monkeypatch.setattr('torch.utils.cpp_extension.CUDA_HOME', path)
        folder = tmp_path / 'nvidia'
        if packages:
            write(folder / f'cu{packages.split(".")[0]}', packages)
        spec = SimpleNamespace(submodule_search_locations=[str(folder)])
        monkeypatch.setattr(build_mmcv, 'find_spec', lambda name: spec)
        return path or str(folder / 'cu13')

    return use


def test_cpu_build_of_pytorch_takes_cpu_ops(monkeypatch, toolkit):
    toolkit('13.0')
    assert build_mmcv.find_cuda(Torch(cuda=None)) is None
    monkeypatch.setenv('FORCE_CUDA', '0')
    assert build_mmcv.find_cuda(Torch(gpus=[(9, 0)])) is None


@pytest.mark.parametrize('where', ['cuda_home', 'packages'])
def test_an_nvcc_of_the_same_major_version_builds_cuda_ops(where, toolkit):
    home = toolkit(**{where: '13.2'})
    found = build_mmcv.find_cuda(Torch(gpus=[(9, 0)]))
    assert found == ('13.0', home, '9.0+PTX')


@pytest.mark.parametrize(
    'nvcc, cuda, advice',
    [
        (None, '13.0', '"nvidia-cuda-nvcc==13.0.*" "nvidia-nvvm==13.0.*"'),
        ('12.4', '13.0', 'is of another major version'),
        (None, '12.8', 'the CUDA toolkit 12.8, with CUDA_HOME'),
    ],
)
@pytest.mark.parametrize('forced', [False, True])
def test_a_gpu_without_nvcc_stops_with_the_ways_out(
    nvcc, cuda, advice, forced, toolkit, monkeypatch, capsys, tmp_path
):
    toolkit(nvcc)
    if forced and nvcc is None:  # on a machine without one
        monkeypatch.setenv('FORCE_CUDA', '1')
    fake = Torch(cuda, gpus=[] if forced and nvcc is None else [(8, 6)])
    monkeypatch.setitem(sys.modules, 'torch', fake)
    monkeypatch.setattr(sys, 'argv', ['build_mmcv.py', '--cache', str(tmp_path / 'c')])
    with pytest.raises(SystemExit) as stopped:
        build_mmcv.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and advice in said
    assert 'FORCE_CUDA=0' in said and 'use_torchvision=True' in said
    assert not (tmp_path / 'c').exists()


def test_no_gpu_and_no_nvcc_builds_cpu_ops_and_says_so(toolkit, capsys):
    toolkit()
    assert build_mmcv.find_cuda(Torch()) is None
    assert 'sees no GPU, and there is no nvcc: building the CPU' in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    'gpus, given, archs',
    [
        ([], '', '8.0;9.0;12.0+PTX'),  # what PyTorch was compiled for
        ([(9, 0), (8, 0), (9, 0)], '', '8.0;9.0+PTX'),
        ([(12, 1)], '', '12.0+PTX'),  # newer than PyTorch knows
        ([(9, 0)], '8.6', '8.6'),
    ],
)
def test_architectures_are_of_the_gpus_else_of_pytorch(
    gpus, given, archs, toolkit, monkeypatch, tmp_path
):
    home = toolkit('13.0')
    if given:
        monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', given)
    found = build_mmcv.find_cuda(Torch(gpus=gpus))
    env = build_mmcv.build_environment(found, tmp_path)
    assert (env['FORCE_CUDA'], env['CUDA_HOME']) == ('1', home)
    assert env['TORCH_CUDA_ARCH_LIST'] == archs
    assert 'LIBRARY_PATH' not in env


def test_architectures_are_read_by_pytorch_itself(toolkit, monkeypatch):
    from torch.utils import cpp_extension

    compiled = ('sm_75', 'sm_90', 'sm_90a', 'sm_100')
    archs = build_mmcv.architectures(Torch(compiled=compiled))
    monkeypatch.setenv('TORCH_CUDA_ARCH_LIST', archs)
    flags = cpp_extension._get_cuda_arch_flags()
    found = {each.rpartition('code=')[2] for each in flags}
    assert found == {*compiled, 'compute_100'}


def test_cpu_ops_are_built_where_there_is_a_gpu_too(toolkit, monkeypatch, tmp_path):
    """MMCV's setup.py asks whether one is seen, not only FORCE_CUDA."""
    env = build_mmcv.build_environment(None, tmp_path)
    assert (env['FORCE_CUDA'], env['CUDA_VISIBLE_DEVICES']) == ('0', '')


def test_the_linker_finds_the_runtime_of_pips_packages(toolkit, tmp_path):
    home = Path(toolkit(packages='13.0'))
    runtime = home / 'lib/libcudart.so.13'
    runtime.parent.mkdir()
    runtime.write_bytes(b'')
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    found = build_mmcv.find_cuda(Torch())
    env = build_mmcv.build_environment(found, scratch)
    link = Path(env['LIBRARY_PATH'], 'libcudart.so')
    assert link.resolve() == runtime.resolve()


def test_each_cuda_and_set_of_architectures_has_a_wheel_of_its_own(
    toolkit, monkeypatch, tmp_path, capsys
):
    toolkit('13.0')
    folders = []
    monkeypatch.setattr(
        build_mmcv,
        'build',
        lambda package, version, cuda, folder: folders.append(folder),
    )
    monkeypatch.setattr(sys, 'argv', ['build_mmcv.py', '--cache', str(tmp_path / 'c')])
    for fake in (
        Torch(cuda=None),
        Torch(),
        Torch(gpus=[(9, 0)]),
        Torch(gpus=[(8, 0)]),
        Torch('13.2', gpus=[(8, 0)]),
    ):
        monkeypatch.setitem(sys.modules, 'torch', fake)
        build_mmcv.main()
    assert len({each.name for each in folders}) == 5
    assert '-cuda13.0-sm8.0_9.0_12.0+PTX-' in folders[1].name
    assert '-cpu-' in folders[0].name


@pytest.mark.parametrize('name', ['../a', '/a', 'mmcv/../../a', 'link'])
def test_nothing_is_unpacked_outside(name, tmp_path, capsys):
    path = tmp_path / 'mmcv.tar'
    with tarfile.open(path, 'w') as archive:
        archive.addfile(tarfile.TarInfo('mmcv/setup.py'))
        member = tarfile.TarInfo(name)
        if name == 'link':
            member.type, member.linkname = tarfile.SYMTYPE, '/etc'
        archive.addfile(member)
    (tmp_path / 'scratch').mkdir()
    with tarfile.open(path) as archive, pytest.raises(SystemExit):
        build_mmcv.unpack(archive, tmp_path / 'scratch')
    assert f'holds {name!r}' in capsys.readouterr().err
    assert not list((tmp_path / 'scratch').iterdir())


def test_plain_files_are_unpacked(tmp_path):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv/setup.py').write_text('x')
    with tarfile.open(tmp_path / 'a.tar', 'w') as archive:
        archive.add(tmp_path / 'mmcv', 'mmcv')
    with tarfile.open(tmp_path / 'a.tar') as archive:
        build_mmcv.unpack(archive, tmp_path / 'out')
    assert (tmp_path / 'out/mmcv/setup.py').read_text() == 'x'


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


@pytest.mark.parametrize(
    ('given', 'free', 'expected'), [('3', 64, 3), (None, 64, 2), (None, 3, 1)]
)
def test_compilers_are_within_the_quota_of_a_container_and_its_memory(
    monkeypatch, given, free, expected
):
    monkeypatch.delenv('MAX_JOBS', raising=False)
    if given:
        monkeypatch.setenv('MAX_JOBS', given)
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: set(range(8)))
    sizes = dict(SC_PAGE_SIZE=2**30, SC_AVPHYS_PAGES=free)
    monkeypatch.setattr(os, 'sysconf', sizes.__getitem__)
    read = Path.read_text

    def quota(path, *args, **kwargs):
        if path == Path('/sys/fs/cgroup/cpu.max'):
            return '200000 100000\n'
        return read(path, *args, **kwargs)

    monkeypatch.setattr(Path, 'read_text', quota)
    assert build_mmcv.jobs() == expected
