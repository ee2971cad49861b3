"""``provenance.json``: what the weights of a run were made from."""

import hashlib
import importlib.metadata
import os
from pathlib import Path

from mmengine.config import Config
from torch import nn

from soco_mm.checkpoint.provenance import find_provenance
from soco_mm.datasets import ObjectViewDataset
from soco_mm.engine.initial_weights import initial_weights
from soco_mm.openmmlab import NEEDED, OTHERS, family, is_installed
from soco_mm.utils import file_hash
from soco_mm.version import __version__

CLEAN = 'contains no third-party weights'
MIXED = 'starts from other weights, listed under initial_weights'
LIBRARIES = ('torch', *NEEDED[family()], *OTHERS[family()], 'numpy')
# Bytes that are read at each end of an image, and the largest number of images.
ENDS = 4096
MOST = 100_000
HOW = (
    'SHA-256 over the path, the size in bytes, and the first and last '
    f'{ENDS} bytes of each image'
)


def describe_provenance(
    cfg: Config,
    model: nn.Module,
    dataset: ObjectViewDataset,
    record: dict | None = None,
) -> dict:
    """What a training is made from, as plain data.

    Args:
        cfg (Config): Its config.
        model (nn.Module): Its model.
        dataset (ObjectViewDataset): Its images and proposals.
        record (dict, optional): What is kept of ``init_weights``, see
            :func:`init_record`. Defaults to None, there are none.

    Returns:
        dict: ``statement``, ``initial_weights``, ``images``, ``proposals`` and
        ``versions``.
    """
    sources = []
    if record is not None:
        known = ('checkpoint', 'sha256', 'library', 'licence')
        sources.append(dict(key='init_weights', **{key: record[key] for key in known}))
    for key, path, _, _ in initial_weights(cfg, model):
        digest = file_hash(path) if Path(path).is_file() else None
        sources.append(dict(key=key, checkpoint=path, sha256=digest, licence=None))
    for each in sources:
        # What these are made from in turn, if an earlier run or its export says so.
        earlier = find_provenance(each['checkpoint']) or {}
        each['initial_weights'] = earlier.get('initial_weights')
    return dict(
        statement=MIXED if sources else CLEAN,
        initial_weights=sources,
        images=describe_images(dataset),
        proposals=dict(
            folder=str(dataset.store.folder), sha256=dataset.store.header['hash']
        ),
        versions=versions(),
    )


def describe_images(dataset: ObjectViewDataset) -> dict:
    """Number and hash of the images of a data set.

    Of more than ``MOST``, as many, evenly spread, are read.
    """
    number = len(dataset)
    step = -(-number // MOST)
    digest = hashlib.sha256()
    for index in range(0, number, step):
        path = Path(dataset.get_data_info(index)['img_path'])
        digest.update(os.fsencode(path.relative_to(dataset.data_root)))
        try:
            digest.update(str(path.stat().st_size).encode())
            digest.update(ends_of(path))
        except OSError:  # an image that training leaves out
            digest.update(b'unreadable')
    read = len(range(0, number, step))
    return dict(
        root=str(dataset.data_root),
        number=number,
        sha256=digest.hexdigest(),
        hashed=read,
        how=HOW + f'; every {step}th image' * (step > 1),
    )


def ends_of(path: Path) -> bytes:
    """The first and the last bytes of a file."""
    with path.open('rb') as stream:
        first = stream.read(ENDS)
        stream.seek(max(0, path.stat().st_size - ENDS))
        return first + stream.read(ENDS)


def versions() -> dict[str, str]:
    """Versions of this package and of the libraries it stands on."""
    there = filter(is_installed, LIBRARIES)
    return dict(
        soco_mm=__version__,
        **{name: importlib.metadata.version(name) for name in there},
    )
