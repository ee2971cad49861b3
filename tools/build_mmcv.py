"""Build MMCV with its compiled ops for the installed PyTorch; keep the wheel.

MMCV has no binary wheel on PyPI, and the flag ``-std=c++14`` in its
``setup.py`` is refused by the headers of PyTorch >= 2.1. Without that flag
PyTorch's own build extension adds the standard that it needs, so the source
distribution builds as it is. Nearly all of the time goes into PyTorch's
headers, which each of 77 sources reads again, so that they are compiled as a
few units (:func:`join_sources`). The wheel is kept in a user cache, keyed by
what it depends on, and the next set-up on the machine only installs it.

Prints the path of the wheel as the last line of standard output; progress and
errors go to standard error. Needs setuptools < 80 (``pkg_resources``).
"""

import argparse
import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from runpy import run_path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]

# The version of each distribution of MMCV that is built if none is named.
VERSIONS = {'mmcv': '2.0.1', 'onedl-mmcv': '2.3.6'}

# Text in a build log -> what was missing, and how to get it.
KNOWN_FAILURES = (
    (
        r'Python\.h: No such file',
        'The headers of Python are missing. Install '
        'them (Debian/Ubuntu: apt-get install python3-dev).',
    ),
    (
        r'Killed signal|fatal error: Killed|out of memory|Cannot allocate memory',
        'The compiler ran out of memory. Close other programs, or build with '
        'fewer jobs: MAX_JOBS=1 bash tools/setup_env.sh',
    ),
    (
        r'No space left on device',
        'The disk is full. Free about 2 GB, or set '
        'TMPDIR and XDG_CACHE_HOME to a larger disk.',
    ),
    (
        r'(cc|g\+\+|c\+\+|gcc).*: (command )?not found|command .*(gcc|g\+\+|cc).*'
        r'failed: No such file',
        'There is no C++ compiler. Install one '
        '(Debian/Ubuntu: apt-get install build-essential).',
    ),
    (
        r'unrecognized command.line option .-std=c\+\+',
        'The C++ compiler is too '
        'old for the installed PyTorch. Install GCC 11 or later and set CXX.',
    ),
    (
        r'detected CUDA version .* mismatches',
        'nvcc and PyTorch were made for '
        'different CUDA versions. Install a matching CUDA toolkit and set '
        'CUDA_HOME, or build the CPU ops only with FORCE_CUDA=0.',
    ),
    (
        r'CUDA_HOME environment variable is not set',
        'MMCV is built with CUDA ops, but there is no nvcc. Install the CUDA toolkit '
        'of your PyTorch and set CUDA_HOME, or build the CPU ops only: FORCE_CUDA=0.',
    ),
    (
        r'No module named .pkg_resources',
        'setuptools is too new for MMCV. '
        'Install an older one: pip install "setuptools<80"',
    ),
    (
        r'Could not fetch URL|No matching distribution|Connection|Temporary '
        'failure in name resolution',
        'The source distribution could not be '
        'downloaded. Check the network and the index that pip uses.',
    ),
)

# Units that sources are joined into: those named here are included last in
# their unit, since they define the same templates (roi_align and its kin) or
# the macros max and min (psamask); all others are dealt out in turn. The
# sources of cuda/ stay single: nvcc compiles most of them, and many define
# kernels of the same name.
UNITS = ((), (), ())
CPU_UNITS = (
    ('roi_align.cpp', 'psamask.cpp'),
    ('roi_align_rotated.cpp',),
    ('rotated_feature_align.cpp',),
    ('bezier_align.cpp',),
)


def fail(message: str, log: Path | None = None) -> None:
    """Say what is wrong, show the end of the log and leave with code 1."""
    print(f'\nERROR: {message}', file=sys.stderr)
    if log is not None and log.is_file():
        kept = Path(tempfile.gettempdir()) / 'soco_mm_mmcv_build.log'
        shutil.copyfile(log, kept)
        tail = log.read_text(errors='replace').splitlines()[-15:]
        print(
            '\n'.join(['The log ends with:', *tail, '', f'Log: {kept}']),
            file=sys.stderr,
        )
    sys.exit(1)


class Cuda(NamedTuple):
    """What the CUDA ops are compiled with and for.

    Attributes:
        version (str): CUDA version of PyTorch, such as ``13.0``.
        home (str): The folder of the toolkit.
        archs (str): Architectures of the GPUs, as in ``TORCH_CUDA_ARCH_LIST``.
    """

    version: str
    home: str
    archs: str

    def __str__(self) -> str:
        archs = re.sub(r'[^\w.+]+', '_', self.archs)
        return f'cuda{self.version}-sm{archs}'


def find_cuda(torch) -> Cuda | None:
    """What to build the CUDA ops with; None for the CPU ops only.

    ``FORCE_CUDA=1`` and ``FORCE_CUDA=0`` overrule what is found. Where PyTorch sees
    a GPU for which they cannot be built, the program ends with the way out.
    """
    version = torch.version.cuda
    if os.environ.get('FORCE_CUDA') == '0' or version is None:
        return None
    home = find_toolkit(version)
    reason = 'there is no nvcc'
    if home is not None:
        nvcc = Path(home, 'bin/nvcc')
        text = subprocess.run([str(nvcc), '--version'], capture_output=True, text=True)
        release = re.search(r'release (\d+)\.', text.stdout)
        same = release is not None and release[1] == version.split('.')[0]
        if same or os.environ.get('FORCE_CUDA') == '1':
            return Cuda(version, home, architectures(torch))
        reason = f'{nvcc} is of another major version'
    if torch.cuda.is_available() or os.environ.get('FORCE_CUDA') == '1':
        fail(
            f"MMCV's CUDA ops cannot be built for PyTorch with CUDA {version}: "
            f'{reason}. {way_out(version)}'
        )
    print(
        f'PyTorch has CUDA {version}, but sees no GPU, and {reason}: building the '
        'CPU ops only.',
        file=sys.stderr,
    )
    return None


def way_out(version: str) -> str:
    """How to get an nvcc, or to do without one."""
    if int(version.split('.')[0]) >= 13:
        # All of one version: pip would take the newest of those that nvcc needs.
        packages = ('cuda-nvcc', 'nvvm', 'cuda-crt', 'cuda-cccl')
        names = ' '.join(f'"nvidia-{each}=={version}.*"' for each in packages)
        install = f'{sys.executable} -m pip install {names}'
    else:  # whose packages hold no nvcc
        install = f'the CUDA toolkit {version}, with CUDA_HOME set to its folder'
    return (
        f'Install it and run this again (the CUDA ops take up to 2 hours on 2 '
        f'cores):\n\n  {install}\n\nOr build the CPU ops only, with FORCE_CUDA=0, and '
        "let RoIAlign come from torchvision on the GPU, in PyTorch's version (0.28 for "
        f'2.13):\n\n  {sys.executable} -m pip install --no-deps torchvision==0.28.0\n'
        '  --cfg-options '
        'model.roi_head.bbox_roi_extractor.use_torchvision=True\n'
    )


def find_toolkit(version: str) -> str | None:
    """The folder of the CUDA toolkit, that of pip's packages too."""
    from torch.utils.cpp_extension import CUDA_HOME

    packages = find_spec('nvidia')
    folders = (packages and packages.submodule_search_locations) or ()
    homes = [Path(each, f'cu{version.split(".")[0]}') for each in folders]
    for home in [Path(CUDA_HOME), *homes] if CUDA_HOME else homes:
        if (home / 'bin/nvcc').is_file():
            return str(home)
    return None


def architectures(torch) -> str:
    """The architectures to compile for, as in ``TORCH_CUDA_ARCH_LIST``.

    Those of the GPUs that are seen, as PyTorch chooses them; where there is none,
    and PyTorch would fail, those that it was compiled for itself.
    """
    if given := os.environ.get('TORCH_CUDA_ARCH_LIST'):
        return given
    known = [
        (int(found[1]), int(found[2]), found[3])
        for each in torch.cuda.get_arch_list()
        if (found := re.fullmatch(r'sm_(\d+)(\d)([a-z]?)', each))
    ]
    if torch.cuda.is_available():
        newest = max(each[:2] for each in known)
        seen = map(torch.cuda.get_device_capability, range(torch.cuda.device_count()))
        known = [(*min(tuple(each), newest), '') for each in seen]
    names = [f'{major}.{minor}{kind}' for major, minor, kind in sorted(set(known))]
    return ';'.join(names) + '+PTX'


def build_environment(cuda: Cuda | None, scratch: Path) -> dict[str, str]:
    """The environment variables of the build.

    Args:
        cuda (Cuda, optional): None for the CPU ops only.
        scratch (Path): A folder for what is made for it.
    """
    env = dict(
        os.environ,
        MMCV_WITH_OPS='1',
        MAX_JOBS=str(jobs()),
        # Debug information makes the build take 1.5 times as long and the
        # wheel 15 times as large.
        CFLAGS=os.environ.get('CFLAGS', '') + ' -g0',
    )
    if cuda is None:
        # Where it sees a GPU, setup.py builds CUDA ops in spite of FORCE_CUDA=0.
        return env | dict(FORCE_CUDA='0', CUDA_VISIBLE_DEVICES='')
    env |= dict(FORCE_CUDA='1', CUDA_HOME=cuda.home, TORCH_CUDA_ARCH_LIST=cuda.archs)
    # pip's packages have libcudart.so.13 only, which the linker does not look for.
    runtimes = sorted(Path(cuda.home, 'lib').glob('libcudart.so.*'))
    if runtimes and not runtimes[0].with_name('libcudart.so').exists():
        (scratch / 'lib').mkdir()
        (scratch / 'lib/libcudart.so').symlink_to(runtimes[0])
        paths = [str(scratch / 'lib'), os.environ.get('LIBRARY_PATH')]
        env['LIBRARY_PATH'] = os.pathsep.join(filter(None, paths))
    return env


def jobs() -> int:
    """Parallel compilers: one per core, each with about 2 GiB of memory."""
    if 'MAX_JOBS' in os.environ:
        return int(os.environ['MAX_JOBS'])
    # By its path: the package may not be imported before it is installed.
    cores = run_path(str(ROOT / 'soco_mm/utils/cores.py'))['usable_cores']()
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_AVPHYS_PAGES')
    return max(1, min(cores, memory // 2**31))


def check_compiler() -> None:
    """Refuse a build that cannot work, before the download."""
    compiler = os.environ.get('CXX', 'g++').split()[0]
    if shutil.which(compiler) is None:
        fail(
            f'There is no C++ compiler ({compiler}). Install one '
            '(Debian/Ubuntu: apt-get install build-essential) or set CXX.'
        )
    header = Path(sysconfig.get_paths()['include']) / 'Python.h'
    if not header.is_file():
        fail(
            f'The headers of Python are missing ({header}). Install them '
            '(Debian/Ubuntu: apt-get install python3-dev).'
        )


def join_sources(csrc: Path) -> None:
    """Join the C++ sources of MMCV's ops into a few units.

    Each unit includes whole sources, which are renamed so that ``setup.py``
    does not list them.

    Args:
        csrc (Path): The folder ``mmcv/ops/csrc/pytorch``.
    """
    for folder, units in ((csrc, UNITS), (csrc / 'cpu', CPU_UNITS)):
        sources = sorted(
            path.name for path in folder.glob('*.cpp') if path.name != 'pybind.cpp'
        )
        apart = [name for unit in units for name in unit]
        missing = set(apart).difference(sources)
        if missing:
            fail(
                f'MMCV has no {min(missing)}: it is not the version this script knows.'
            )
        others = [name for name in sources if name not in apart]
        for index, last in enumerate(units):
            names = [*others[index :: len(units)], *last]
            for name in names:
                (folder / name).rename(folder / f'{name}.inc')
            (folder / f'unit_{index}.cpp').write_text(
                ''.join(f'#include "{name}.inc"\n' for name in names)
            )
    # It only registers functions: optimising it takes 20 s and gains nothing.
    pybind = csrc / 'pybind.cpp'
    pybind.write_text('#pragma GCC optimize("O0")\n' + pybind.read_text())


def seconds_left(elapsed: float, done: int, total: int, parallel: int) -> float:
    """Estimate the time that the rest of the units takes.

    Args:
        elapsed (float): Seconds since the start.
        done (int): Units that are compiled, at least 1.
        total (int): All units.
        parallel (int): How many are compiled at once: when one is done, the
            others are half done on average.

    Returns:
        float: Seconds.
    """
    half_done = (min(parallel, total - done + 1) - 1) / 2
    return elapsed * (total - done - half_done) / (done + half_done)


def clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f'{minutes}:{seconds:02d}'


def run_logged(command, log: Path, env: dict, cwd=None) -> int:
    """Run a command, its output to ``log``; show ninja's steps as progress."""
    started = time.time()
    parallel = int((env or os.environ).get('MAX_JOBS', 1))
    with (
        log.open('a') as stream,
        subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            env=env,
            cwd=cwd,
        ) as process,
    ):
        for line in process.stdout:
            stream.write(line)
            step = re.match(r'\s*\[(\d+)/(\d+)\]', line)
            if step is not None:
                done, total = int(step[1]), int(step[2])
                show_progress(done, total, time.time() - started, parallel)
    return process.returncode


def show_progress(done: int, total: int, elapsed: float, parallel: int) -> None:
    """Print the progress of the compilation: one line on a terminal, else ten."""
    if done == total:
        rest = 'linking takes some seconds'
    else:
        rest = f'about {clock(seconds_left(elapsed, done, total, parallel))} left'
    text = f'  compiled {done}/{total} units in {clock(elapsed)}, {rest}'
    if sys.stderr.isatty():
        end = '\n' if done == total else ''
        print(f'\r{text:<70}', end=end, file=sys.stderr, flush=True)
    elif done * 10 // total > (done - 1) * 10 // total:
        print(text, file=sys.stderr, flush=True)


def explain(log: Path) -> str:
    """The known reason why a build failed."""
    text = log.read_text(errors='replace')
    for pattern, meaning in KNOWN_FAILURES:
        if re.search(pattern, text):
            return meaning
    return 'MMCV did not build, for a reason this script does not know.'


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Unpack plain files and folders; anything else, or outside, is refused."""
    for member in archive:
        path = PurePosixPath(member.name)
        plain = member.isfile() or member.isdir()
        if not plain or path.is_absolute() or '..' in path.parts:
            fail(
                f'The source distribution holds {member.name!r}, which is not a plain '
                'file in its folder. It is not unpacked.'
            )
    archive.extractall(folder)


def build(package: str, version: str, cuda: Cuda | None, folder: Path) -> Path:
    """Build the wheel into ``folder``; it appears there whole or not at all.

    Args:
        package (str): Name of MMCV's distribution, see ``VERSIONS``.
        version (str): Its version.
        cuda (Cuda, optional): None for the CPU ops only.
        folder (Path): The cache folder of this combination.

    Returns:
        Path: The wheel.
    """
    check_compiler()
    pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
    with tempfile.TemporaryDirectory(prefix='soco_mm_mmcv_') as scratch:
        scratch = Path(scratch)
        log = scratch / 'build.log'
        env = build_environment(cuda, scratch)
        print(
            f'Building {package} {version} with '
            f'{f"CUDA {cuda.version} and " if cuda else ""}CPU ops, '
            f'{env["MAX_JOBS"]} at a time, once for this machine. '
            + (
                f'The CUDA ops, for {cuda.archs}, take up to 2 hours on 2 cores; '
                'TORCH_CUDA_ARCH_LIST names fewer GPUs.'
                if cuda
                else 'On 2 idle cores this takes 1 to 2 minutes with AVX-512, up to 4 '
                'on older processors.'
            ),
            file=sys.stderr,
        )
        if (
            run_logged(
                [
                    *pip,
                    'download',
                    '--no-deps',
                    '--no-build-isolation',
                    '--no-binary',
                    package,
                    '-d',
                    str(scratch),
                    f'{package}=={version}',
                ],
                log,
                env,
            )
            != 0
        ):
            fail(explain(log), log)
        name = f'{stem_of(package)}-{version}'
        with tarfile.open(scratch / f'{name}.tar.gz') as archive:
            unpack(archive, scratch)
        setup = scratch / f'{name}/setup.py'
        source = setup.read_text()
        # An empty flag list lets PyTorch's BuildExtension add its own.
        patched = re.sub(r"'-std=c\+\+1[47]'", '', source)
        if patched == source:
            fail(
                f'setup.py of MMCV {version} is not the one this script '
                'knows: it sets no C++ standard.'
            )
        setup.write_text(patched)
        join_sources(setup.parent / 'mmcv/ops/csrc/pytorch')
        if (
            run_logged(
                [
                    *pip,
                    'wheel',
                    '-v',
                    '--no-deps',
                    '--no-build-isolation',
                    '-w',
                    str(scratch),
                    '.',
                ],
                log,
                env,
                cwd=setup.parent,
            )
            != 0
        ):
            fail(explain(log), log)
        (wheel,) = scratch.glob(f'{stem_of(package)}-*.whl')
        kept = folder / wheel.name
        partial = folder / (wheel.name + '.partial')
        shutil.copyfile(wheel, partial)
        partial.rename(kept)
    return kept


def stem_of(package: str) -> str:
    """How the names of a distribution's files begin."""
    return package.replace('-', '_')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--package',
        choices=list(VERSIONS),
        default='mmcv',
        help="MMCV's distribution (default: %(default)s)",
    )
    parser.add_argument(
        '--version',
        help='MMCV version (default: '
        + ', '.join(f'{version} of {name}' for name, version in VERSIONS.items())
        + ')',
    )
    parser.add_argument(
        '--cache',
        type=Path,
        help='folder that keeps the wheels (default: $XDG_CACHE_HOME/soco_mm/wheels)',
    )
    args = parser.parse_args()
    version = args.version or VERSIONS[args.package]
    try:
        import torch
    except ImportError:
        fail('PyTorch is not installed; install it before MMCV.')
    cache = (
        args.cache
        or Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache')
        / 'soco_mm/wheels'
    )
    cuda = find_cuda(torch)
    python = f'cp{sys.version_info.major}{sys.version_info.minor}'
    folder = cache / '-'.join(
        [
            f'{args.package}{version}',
            f'torch{torch.__version__}',
            python,
            str(cuda or 'cpu'),
            platform.machine(),
        ]
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / '.lock').open('w')
    except OSError as error:
        fail(
            f'The wheel cache {folder} cannot be written ({error.strerror}). '
            'Set XDG_CACHE_HOME to a folder that can.'
        )
    # A second set-up at the same time waits and then finds the wheel.
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    except OSError:  # a file system without locks
        pass
    wheels = sorted(folder.glob('*.whl'))
    print(wheels[0] if wheels else build(args.package, version, cuda, folder))


if __name__ == '__main__':
    main()
