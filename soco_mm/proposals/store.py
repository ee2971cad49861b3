import bisect
import json
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from soco_mm.coco.files import path_below
from soco_mm.utils import SoCoError, atomic_folder, file_hash

from .filters import STATUS
from .layout import (
    ARRAYS,
    ENCODING,
    FAILURES,
    FORMAT,
    HEADER,
    VERSION,
    Proposals,
    encode_path,
    header_hash,
    sample_hash,
    unusable,
)
from .writer import keep_others, write_files

MARKER = 'path_offsets.npy'  # a name that nothing else has
DAMAGED = (
    '{} is damaged or missing: its bytes do not have the hash in the '
    'header. Make the proposals again.'
)


class ProposalStore:
    """Boxes of images, by relative path or by index.

    A folder with a JSON header and NumPy arrays, which are mapped into memory:
    opening costs the same for any number of images, and processes share the
    pages. Images are sorted by the bytes of their paths and found by
    bisection. ``docs/proposal_store.md`` describes the files.

    Use :meth:`open` and :meth:`write`.

    Args:
        folder (Path): The folder.
        header (dict): What the boxes were made with, and their counts.
        arrays (dict): The arrays by the names in :data:`ARRAYS`.

    Attributes:
        header (dict): As above.
        arrays (dict): As above; for work on all images at once.
    """

    def __init__(
        self, folder: Path, header: dict, arrays: dict[str, np.ndarray]
    ) -> None:
        self.folder = folder
        self.header = header
        self.arrays = arrays

    def __reduce__(self):
        # Another process maps the files again; a copy could be gigabytes.
        return ProposalStore.open, (self.folder,)

    @classmethod
    def open(cls, folder: str | Path) -> 'ProposalStore':
        """Open a store.

        Damage is looked for in the sizes of the files and in a sample of their
        bytes; :meth:`verify` reads all of them.

        Args:
            folder (str | Path): The folder.

        Returns:
            ProposalStore: The store.

        Raises:
            SoCoError: If it is missing, of another version or damaged.
        """
        folder = Path(folder)
        header = read_header(folder)
        _check_sample(folder / FAILURES, header['failures'])
        arrays = {}
        for name, dtype in ARRAYS.items():
            path = folder / f'{name}.npy'
            try:
                array = np.load(path, mmap_mode='r', allow_pickle=False)
                array = array.view(np.ndarray)  # slices of these are quicker
            except (OSError, ValueError, EOFError) as error:
                raise SoCoError(
                    f'{path} is missing or damaged ({error}). Make the proposals again.'
                ) from None
            known = header['arrays'][name]
            if array.dtype != dtype or list(array.shape) != known['shape']:
                raise SoCoError(
                    f'{path} does not fit the header of its '
                    'store. Make the proposals again.'
                )
            _check_sample(path, known)
            arrays[name] = array
        return cls(folder, header, arrays)

    @staticmethod
    def write(folder: str | Path, header: dict, results: Iterable[Proposals]) -> None:
        """Write a store; it appears whole or not at all.

        Args:
            folder (str | Path): The folder; an existing store is replaced. Other
                files in it stay.
            header (dict): What the boxes were made with.
            results (Iterable[Proposals]): The images, sorted by
                :func:`encode_path`, each once. Those without boxes are left
                out; failures are listed in ``failures.jsonl``.

        Raises:
            OSError: If it cannot be written.
        """
        with atomic_folder(folder) as partial:
            write_files(partial, header, results)
            keep_others(Path(folder), partial)

    def verify(self) -> None:
        """Read all bytes and compare them with the header.

        Raises:
            SoCoError: If they differ.
        """
        known = {f'{name}.npy': self.header['arrays'][name] for name in ARRAYS}
        known[FAILURES] = self.header['failures']
        for name, hashes in known.items():
            path = self.folder / name
            if file_hash(path) != hashes['sha256']:
                raise SoCoError(DAMAGED.format(path))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.arrays['status'])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the paths, sorted."""
        return (self.path(index) for index in range(len(self)))

    def __contains__(self, path: str) -> bool:
        """Whether it holds an image, by path."""
        try:
            self.index(path)
        except KeyError:
            return False
        return True

    def __getitem__(self, path: str) -> np.ndarray:
        """Boxes of an image, by path; see :meth:`boxes`.

        Raises:
            KeyError: If there is no such image.
        """
        return self.boxes(self.index(path))

    def path(self, index: int) -> str:
        """Relative path of an image, by its index.

        Raises:
            SoCoError: If it leads out of the folder of images.
        """
        path = self._path(index).decode(**ENCODING)
        if (path.startswith('/') or '..' in path) and path_below('.', path) is None:
            raise SoCoError(
                f'{self.folder} names {path}, which is not below the folder of '
                'images. Make the proposals again.'
            )
        return path

    def boxes(self, index: int) -> np.ndarray:
        """Boxes of an image, by its index.

        Returns:
            np.ndarray: x1 y1 x2 y2 in pixels of the image, float32, (P, 4).
        """
        start, stop = self.arrays['offsets'][index : index + 2].tolist()
        return self.arrays['boxes'][start:stop].copy()

    def size(self, index: int) -> tuple:
        """Width and height of an image in pixels, by its index."""
        return tuple(self.arrays['sizes'][index].tolist())

    def status(self, index: int) -> str:
        """How the boxes of an image were chosen, one of :data:`STATUS`."""
        return STATUS[self.arrays['status'][index]]

    def index(self, path: str) -> int:
        """Index of an image.

        Raises:
            KeyError: If there is no such image.
        """
        wanted = encode_path(path)
        found = bisect.bisect_left(range(len(self)), wanted, key=self._path)
        if found == len(self) or self._path(found) != wanted:
            raise KeyError(path)
        return found

    def failures(self) -> list:
        """The images that failed, dictionaries of ``image`` and ``reason``."""
        lines = (self.folder / FAILURES).read_text().splitlines()
        return [json.loads(line) for line in lines]

    def results(self) -> Iterator[Proposals]:
        """All images as they were written, failed ones too, sorted."""
        reasons = {each['image']: each['reason'] for each in self.failures()}
        left_out = deque(
            sorted((path for path in reasons if path not in self), key=encode_path)
        )
        rows = iter(range(len(self)))
        index = next(rows, None)
        while index is not None or left_out:
            path = None if index is None else self.path(index)
            if left_out and (
                path is None or encode_path(left_out[0]) < encode_path(path)
            ):
                yield unusable(left_out[0], reasons[left_out.popleft()])
                continue
            yield Proposals(
                path,
                self.boxes(index),
                self.size(index),
                int(self.arrays['status'][index]),
                reasons.get(path),
            )
            index = next(rows, None)

    def _path(self, index: int) -> bytes:
        start, stop = self.arrays['path_offsets'][index : index + 2].tolist()
        return self.arrays['paths'][start:stop].tobytes()


def read_header(folder: Path) -> dict:
    """Read the header of a store and check it.

    Raises:
        SoCoError: If it is missing, damaged or of another version.
    """
    path = folder / HEADER
    try:
        header = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise SoCoError(
            f'There are no proposals in {folder}. Make them with: soco-mm '
            f'proposals IMAGES --out {folder}'
        ) from None
    except (OSError, ValueError) as error:
        raise SoCoError(
            f'The header {path} cannot be read ({error}). Make the proposals again.'
        ) from None
    if not isinstance(header, dict):
        header = {}
    if header.get('format') != FORMAT or header.get('version') != VERSION:
        raise SoCoError(
            f'{folder} holds {header.get("format", "something else")} of '
            f'version {header.get("version")}, but version {VERSION} of '
            f'{FORMAT} is needed. Make the proposals again.'
        )
    if header.get('hash') != header_hash(header):
        raise SoCoError(
            f'The header {path} was changed: it does not have its '
            'hash. Make the proposals again.'
        )
    return header


def _check_sample(path: Path, known: dict) -> None:
    """Compare a sample of a file's bytes with the header.

    Raises:
        SoCoError: If it differs, or the file is missing.
    """
    try:
        damaged = sample_hash(path) != known['sample_sha256']
    except OSError:
        damaged = True
    if damaged:
        raise SoCoError(DAMAGED.format(path))
