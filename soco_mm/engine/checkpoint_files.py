"""The checkpoints in the folder of a training."""

import re
from pathlib import Path

import torch

from .resume import NOTED

CHECKPOINT_DIR = 'checkpoints'
# Of whole epochs, and of iterations within them.
EPOCH, ITERATION = 'epoch_{}.pth', 'iter_{}.pth'


def numbered(work_dir: str | Path, name: str) -> dict[int, Path]:
    """The checkpoints of one kind, by their number.

    Args:
        work_dir (str | Path): The folder of the training.
        name (str): ``EPOCH`` or ``ITERATION``.
    """
    pattern = re.compile(re.escape(name).replace(r'\{\}', r'(\d+)'))
    found = {}
    for path in (Path(work_dir) / CHECKPOINT_DIR).glob(name.format('*')):
        if number := pattern.fullmatch(path.name):
            found[int(number[1])] = path
    return found


def latest_checkpoint(work_dir: str | Path) -> Path | None:
    """The checkpoint of a training that has gone furthest, if any.

    Args:
        work_dir (str | Path): The folder of the training.

    Returns:
        Path, optional: ``epoch_N.pth``, or ``iter_N.pth`` of a later iteration.
    """
    epochs = numbered(work_dir, EPOCH)
    iterations = numbered(work_dir, ITERATION)
    # A later checkpoint of an epoch removes them, unless it was killed before.
    found = [(*position_of(path), path) for path in iterations.values()]
    if epochs:
        found.append((max(epochs), 0.0, epochs[max(epochs)]))
    return max(found)[-1] if found else None


def position_of(path: Path) -> tuple[int, float]:
    """Epochs that are done in a checkpoint, and the share of the one after them.

    What cannot be read counts as the furthest, so that resuming says so.
    """
    try:
        meta = torch.load(path, map_location='cpu', mmap=True, weights_only=True)[
            'meta'
        ]
        epoch, done = meta['epoch'], meta['iter']
        length = meta.get(NOTED, {}).get('iterations')
    except Exception:  # PyTorch has no type for a bad file
        return 2**31, 0.0
    return epoch, (done - epoch * length) / length if length else 0.0


def last_healthy(work_dir: str | Path) -> str:
    """A sentence on what is left of a training that went wrong."""
    last = latest_checkpoint(work_dir)
    if last is None:
        return 'No checkpoint was written yet. Start again with a lower learning rate.'
    return (
        f'The last healthy checkpoint is kept: {last}. Continue from it with '
        '--resume and a lower learning rate (--cfg-options '
        'optim_wrapper.optimizer.lr=...).'
    )
