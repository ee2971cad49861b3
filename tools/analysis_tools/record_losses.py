"""Record the losses of five small trainings, to show that a change keeps them.

The trainings are those recipes in small on the photos of demo/, on the CPU,
in one thread and always the same. Record before a change and after it on one
machine, and compare the two folders with compare_losses.py: other processors
and other versions of PyTorch round differently.
"""

import argparse
import json
import platform
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from compare_recipes import proposals_for, shrink

from soco_mm.cli import run
from soco_mm.engine.config import load_config
from soco_mm.engine.training import train_model
from soco_mm.utils import atomic_stream

IMAGES = Path(__file__).parents[2] / 'demo/images'
# Three or four views, FPN or C4, the released pipeline, and BYOL.
RECIPES = [
    'soco_r18_fpn_quick',
    'soco-star_r50_fpn_100e',
    'soco_r50_c4_100e',
    'released/soco_r50_fpn_100e',
    'ablations/table4-1_whole-image',
]
EPOCHS, BATCH_SIZE = 3, 2


def this_machine() -> dict[str, str]:
    """What a loss depends on in addition to the code, down to the last bit."""
    cpuinfo = Path('/proc/cpuinfo')
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(':', 1)[1] for line in lines if line.startswith('model name')]
    return dict(
        processor=(names[0] if names else platform.processor()).strip(),
        cpu_capability=torch.backends.cpu.get_cpu_capability(),
        torch=torch.__version__,
        numpy=np.__version__,
        opencv=cv2.__version__,
    )


def record(name: str, out: Path, work_dir: Path) -> Path:
    """Train a small version of a recipe and write its losses.

    Args:
        name (str): The recipe, under ``configs/soco``.
        out (Path): The folder of the file of losses: a line of JSON for the
            machine, and one for the losses of each step.
        work_dir (Path): Where the training writes.

    Returns:
        Path: The file.
    """
    cfg = load_config(name)
    data = cfg.train_dataloader.dataset
    data.update(
        data_root=str(IMAGES),
        proposals=str(proposals_for(data.proposals, IMAGES, work_dir)),
    )
    shrink(cfg, BATCH_SIZE, EPOCHS)
    cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.randomness = dict(seed=0, deterministic=True)
    cfg.default_hooks.checkpoint = None
    folder = work_dir / name.replace('/', '_')
    cfg.visualizer.save_dir = str(folder)
    train_model(cfg, folder)
    path = out / f'{folder.name}.json'
    (scalars,) = folder.rglob('scalars.json')
    with atomic_stream(path) as stream:
        stream.write(json.dumps(dict(machine=this_machine())) + '\n')
        for line in scalars.read_text().splitlines():
            row = json.loads(line)
            kept = {
                key: row[key] for key in row if key == 'step' or key.startswith('loss')
            }
            stream.write(json.dumps(kept) + '\n')
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('out', type=Path, help='a folder for the files of losses')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name in RECIPES:
            print(record(name, args.out, Path(folder)), flush=True)


if __name__ == '__main__':
    run(main)
