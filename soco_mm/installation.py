import importlib
import importlib.metadata
import importlib.util
import platform
import subprocess
import sys
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from soco_mm.openmmlab import NEEDED, OTHERS, family, is_installed

OPENCVS = (
    'opencv-python',
    'opencv-python-headless',
    'opencv-contrib-python',
    'opencv-contrib-python-headless',
)
SET_UP, AND = 'bash tools/setup_env.sh --here --force', ' && '
if not Path(__file__).parents[1].joinpath('tools/setup_env.sh').is_file():
    # It is in a wheel.
    SET_UP, AND = 'the commands of docs/setup.md, "In another environment"', ', then '
START_AGAIN = f'pip uninstall -y {" ".join(chain(*NEEDED.values()))}{AND}{SET_UP}'
ABSENT = 3  # exit code of a check
OTHER_FIX = '; fix: '  # at the end of an error, in the place of the check's own


class Absent(Exception):
    """Something that is not needed is not installed, which is fine."""


class Check(NamedTuple):
    """One thing to check.

    Attributes:
        name (str): What it is, as printed.
        run (Callable): Returns what to print; raises if the check fails.
        fix (str): The command that fixes a failure.
        needed (bool): Whether the main job cannot run without it.
    """

    name: str
    run: Callable
    fix: str
    needed: bool = True


def check_installation(quiet: bool = False) -> bool:
    """Check everything the main job needs, and say how to fix it.

    Args:
        quiet (bool): Print failures only. Defaults to False.

    Returns:
        bool: Whether the main job can run.
    """
    if not quiet:
        print(f'python {platform.python_version()} ({sys.executable})')
        for name in (
            'torch',
            'torchvision',
            *NEEDED[family()],
            *OTHERS[family()],
            'numpy',
            'opencv-contrib-python',
        ):
            print(f'{name} {version(name)}')
        print()
    healthy = True
    for check in CHECKS:
        # In its own process: a broken binary may crash or stay loaded.
        result = subprocess.run(
            [
                sys.executable,
                '-c',
                'import sys\n'
                'from soco_mm.installation import run_check\n'
                'run_check(sys.argv[1])',
                check.name,
            ],
            capture_output=True,
            text=True,
        )
        if result.returncode == ABSENT:
            if not quiet:
                print(f'[--  ] {result.stdout.strip()}')
            continue
        passed = result.returncode == 0
        healthy &= passed or not check.needed
        if quiet and (passed or not check.needed):
            continue
        lines = (result.stdout if passed else result.stderr).strip().splitlines()
        said = lines[-1] if lines else f'ended with {result.returncode}'
        mark = 'ok  ' if passed else 'FAIL' if check.needed else 'none'
        said, _, fix = said.partition(OTHER_FIX)
        print(f'[{mark}] {check.name}: {said}')
        if not passed and (fix or check.fix):
            print(f'       fix: {fix or check.fix}')
    if not quiet:
        print(
            '\nEverything the main job needs is installed.'
            if healthy
            else '\nThe main job cannot run here yet.'
        )
    return healthy


def run_check(name: str) -> None:
    """Run one check in this process and print what it says."""
    (check,) = (check for check in CHECKS if check.name == name)
    try:
        print(check.run())
    except Absent as error:
        print(error)
        sys.exit(ABSENT)


def version(name: str) -> str:
    """Version of an installed package, or ``not installed``."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return 'not installed'


def check_family() -> str:
    """Look for packages of both families, which overwrite each other."""
    both = [
        f'{ours} and {theirs}'
        for ours, theirs in zip(*NEEDED.values())
        if is_installed(ours) and is_installed(theirs)
    ]
    if both:
        raise RuntimeError(f'{both[0]} are both installed, into the same folder')
    return family()


def check_stack() -> str:
    """Import the OpenMMLab packages, which check each other's versions."""
    for name in ('mmengine', 'mmcv', 'mmdet'):
        importlib.import_module(name)
    return 'their versions fit each other'


def check_probes() -> str:
    """Look for what probes and the baselines need."""
    there = [name for name in OTHERS[family()] if is_installed(name)]
    if not there:
        raise Absent(
            'MMSelfSup, MMClassification, MMPretrain: not installed, and needed '
            'only for probes and baselines'
        )
    for name in there:
        # MMPretrain's models, unlike the package itself, need torchvision.
        try:
            importlib.import_module(f'{name.removeprefix("onedl-")}.models')
        except (ImportError, RuntimeError) as error:
            raise Absent(f'{name}: {error}; only probes need it') from None
    return ', '.join(there)


def check_names() -> str:
    """Import all OpenMMLab packages into one process, as a training may.

    Two of them that register the same name in a third one's registry cannot
    be imported into one process.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    there = [
        name
        for name in MODULE2PACKAGE
        if name not in ('mmengine', 'mmcv', 'soco_mm')
        and importlib.util.find_spec(name)
        and importlib.util.find_spec(f'{name}.models')
    ]
    for name in ('soco_mm', *there):
        try:
            importlib.import_module(f'{name}.models')
        except KeyError as error:
            raise RuntimeError(
                f'{name} cannot be imported beside the others: {error.args[0]}. '
                'Uninstall one of the two if a training needs the other'
            ) from None
        except (ImportError, RuntimeError):  # of another check
            continue
    return f'{", ".join(there)} can be imported together'


def check_one_opencv() -> str:
    """Look for several OpenCV packages, which overwrite each other."""
    there = [name for name in OPENCVS if version(name) != 'not installed']
    if len(there) != 1:
        raise RuntimeError(
            f'there must be exactly one, but there are {", ".join(there) or "none"}'
        )
    return there[0]


def check_selective_search() -> str:
    """Run a real selective search."""
    import numpy as np

    from soco_mm.proposals import SelectiveSearch

    image = np.zeros((120, 160, 3), np.uint8)
    image[30:90, 40:120] = (200, 60, 30)
    boxes = SelectiveSearch()(image)
    found = np.abs(boxes - [40, 30, 120, 90]).max(axis=1).min() <= 2
    if not found:
        raise RuntimeError('it did not find a single-coloured rectangle')
    return f'it found the object among {len(boxes)} boxes'


def check_roi_align() -> str:
    """Run a real RoIAlign, of MMCV's compiled operators where they are for the GPU.

    They are not where only the CPU's were built, which pretraining can do without.
    """
    import torch

    if not torch.cuda.is_available():
        return _try_roi_align('cpu')
    try:
        return _try_roi_align('cuda')
    except RuntimeError as error:
        if 'implementation for device' not in str(error):
            raise
    _try_roi_align('cpu')
    try:
        _try_roi_align('cuda', use_torchvision=True)
    except ImportError:
        raise RuntimeError(
            'MMCV has no operators for the GPU, and torchvision is not installed'
            f'{OTHER_FIX}{sys.executable} -m pip install --no-deps torchvision, of the '
            f'version for PyTorch {torch.__version__} (0.28.0 for 2.13)'
        ) from None
    return (
        'right on cpu; for the GPU MMCV has none, torchvision has: train with '
        '--cfg-options model.roi_head.bbox_roi_extractor.use_torchvision=True'
    )


def _try_roi_align(device: str, **options) -> str:
    """Pool a box whose mean is known.

    Raises:
        RuntimeError: If it cannot be done, or is wrong.
    """
    import torch
    from mmcv.ops import RoIAlign

    feature = torch.arange(8.0, device=device).expand(1, 1, 8, 8)
    pooled = RoIAlign(1, 1.0, 0, aligned=True, **options)(
        feature.contiguous(), torch.tensor([[0.0, 2.0, 2.0, 6.0, 6.0]], device=device)
    )
    if abs(pooled.item() - 3.5) > 1e-5:
        raise RuntimeError(f'it gave {pooled.item()} instead of 3.5')
    return f'right on {device}'


def check_model() -> str:
    """Import the model."""
    importlib.import_module('soco_mm.models')
    return 'it can be imported'


def check_gpu() -> str:
    """Look for a GPU."""
    import torch

    if not torch.cuda.is_available():
        raise Absent('no GPU: training runs on the CPU')
    return f'{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}'


def check_torchvision() -> str:
    """Look for torchvision, which is not needed, but imported where it is."""
    try:
        import torchvision
    except ImportError:
        raise Absent('torchvision: not installed, and not needed') from None
    except RuntimeError as error:
        raise RuntimeError(f'it is built for another PyTorch ({error})') from None
    return torchvision.__version__


CHECKS = (
    Check('OpenMMLab family', check_family, START_AGAIN),
    Check('OpenMMLab packages', check_stack, SET_UP),
    Check(
        'torchvision',
        check_torchvision,
        'pip uninstall -y torchvision   # or install the one for this PyTorch',
    ),
    Check('probes and baselines', check_probes, SET_UP, needed=False),
    Check(
        'names in registries',
        check_names,
        'pip uninstall -y mmselfsup   # its baselines; MMPretrain has them too',
        needed=False,
    ),
    Check(
        'OpenCV packages',
        check_one_opencv,
        'pip uninstall -y '
        + ' '.join(OPENCVS)
        + ' && pip install opencv-contrib-python',
    ),
    Check(
        'selective search (cv2.ximgproc)',
        check_selective_search,
        'pip install --force-reinstall --no-deps opencv-contrib-python',
    ),
    Check(
        "RoIAlign (mmcv's compiled ops)",
        check_roi_align,
        f'pip uninstall -y {NEEDED[family()][1]}{AND}{SET_UP}',
    ),
    Check('SoCo model', check_model, SET_UP),
    Check('GPU', check_gpu, '', needed=False),
)
