"""The files of a store, for writing and reading it."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soco_mm.utils import file_hash

from .filters import STATUS

FORMAT = 'soco_mm proposals'
VERSION = 3
HEADER = 'header.json'
FAILURES = 'failures.jsonl'
# Names of files are bytes; those that are not UTF-8 survive in this way.
ENCODING = dict(encoding='utf-8', errors='surrogateescape')
ARRAYS = dict(
    boxes=np.float32,  # (B, 4), x1 y1 x2 y2 in pixels of the image
    offsets=np.int64,  # (N + 1,), the rows of image i in boxes
    sizes=np.int32,  # (N, 2), width and height in pixels
    status=np.uint8,  # (N,), see filters.STATUS
    paths=np.uint8,  # the relative paths in UTF-8, one after another, sorted
    path_offsets=np.int64,  # (N + 1,), the bytes of path i in paths
)
FILES = frozenset([HEADER, FAILURES, *(f'{name}.npy' for name in ARRAYS)])
# What a header holds that the boxes do not depend on: the folder of images may
# move, and annotations may grow without a change of what is derived from them.
INFORMATIVE = ('root', 'derived')
# What a header says of the boxes before the filter.
FOUND = ('boxes', 'too_small', 'too_large')
# Opening reads this many bytes of each array, whatever its length.
SAMPLE_BLOCKS = 8
SAMPLE_BYTES = 4096


class Proposals(NamedTuple):
    """What became of one image.

    Attributes:
        path (str): Its path relative to the folder of images.
        boxes (np.ndarray): x1 y1 x2 y2 in pixels, float32, (P, 4).
        size (tuple): Width and height in pixels.
        status (int): Index in :data:`STATUS`.
        failure (str, optional): Why it failed. An image that cannot be used
            has no boxes; one on which the generator failed has the whole
            image.
        seconds (float): CPU time that it took. Defaults to 0.
        found (tuple, optional): Numbers of the boxes that were found, and of
            those that are smaller and larger than the filter keeps. Defaults to
            None, not known.
    """

    path: str
    boxes: np.ndarray
    size: tuple
    status: int
    failure: str | None = None
    seconds: float = 0
    found: tuple[int, int, int] | None = None


def encode_path(path: str) -> bytes:
    """The bytes of a path, by which images are sorted."""
    return path.encode(**ENCODING)


def unusable(path: str, reason: str) -> Proposals:
    """The result of an image that cannot be used."""
    return Proposals(
        path, np.zeros((0, 4), np.float32), (0, 0), STATUS.index('whole_image'), reason
    )


def header_hash(header: dict) -> str:
    """SHA-256 of a header without the hash in it.

    The header holds the hashes of the arrays, so this one names the whole
    store.
    """
    rest = {key: value for key, value in header.items() if key != 'hash'}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def file_hashes(path: Path) -> dict:
    return dict(sha256=file_hash(path), sample_sha256=sample_hash(path))


def sample_hash(path: Path) -> str:
    """Hash of the size and of blocks evenly spread over a file."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open('rb') as stream:
        for block in range(SAMPLE_BLOCKS):
            last = max(0, size - SAMPLE_BYTES)
            stream.seek(last * block // (SAMPLE_BLOCKS - 1))
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()
