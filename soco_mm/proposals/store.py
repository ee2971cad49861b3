import json
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence, Union

import numpy as np

from soco_mm.utils import SoCoError, atomic_folder

FORMAT = 'soco_mm proposals'
VERSION = 1
HEADER = 'header.json'
MARKER = 'path_offsets.npy'  # a name that nothing else has
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


class ProposalStore:
    """Boxes of images, by relative path.

    A folder with a JSON header and NumPy arrays, which are mapped into memory:
    opening costs the same for any number of images, and processes share the
    pages. Paths are sorted and found by bisection.

    Use :meth:`open` and :meth:`write`.

    Args:
        header (dict): What the boxes were made with, and their counts.
        arrays (dict): The arrays by name.
    """

    def __init__(self, header: dict, arrays: Dict[str, np.ndarray]) -> None:
        self.header = header
        self._arrays = arrays

    @classmethod
    def open(cls, folder: Union[str, Path]) -> 'ProposalStore':
        """Open a store.

        Args:
            folder (str | Path): The folder.

        Returns:
            ProposalStore: The store.

        Raises:
            SoCoError: If it is missing, of another version or incomplete.
        """
        folder = Path(folder)
        try:
            header = json.loads((folder / HEADER).read_text())
        except FileNotFoundError:
            raise SoCoError(
                f'There are no proposals in {folder}. Make them with: '
                f'soco-mm proposals IMAGES --out {folder}') from None
        except (OSError, ValueError) as error:
            raise SoCoError(
                f'The header {folder / HEADER} cannot be read ({error}). Make '
                'the proposals anew.') from None
        if header.get('format') != FORMAT or header.get('version') != VERSION:
            raise SoCoError(
                f'{folder} holds {header.get("format", "something else")} of '
                f'version {header.get("version")}, but version {VERSION} of '
                f'{FORMAT} is needed. Make the proposals anew.')
        arrays = {}
        for name, dtype in ARRAYS.items():
            path = folder / f'{name}.npy'
            try:
                array = np.load(path, mmap_mode='r', allow_pickle=False)
            except (OSError, ValueError, EOFError) as error:
                raise SoCoError(f'{path} is missing or damaged ({error}). '
                                'Make the proposals anew.') from None
            expected = header['shapes'][name]
            if array.dtype != dtype or list(array.shape) != expected:
                raise SoCoError(f'{path} does not fit the header of its '
                                'store. Make the proposals anew.')
            arrays[name] = array
        return cls(header, arrays)

    @staticmethod
    def write(folder: Union[str, Path], header: dict, paths: Sequence[str],
              boxes: Sequence[np.ndarray], sizes: Sequence,
              status: Sequence[int],
              files: Optional[Dict[str, str]] = None) -> None:
        """Write a store; it appears whole or not at all.

        Args:
            folder (str | Path): Where to; a store there is replaced.
            header (dict): What the boxes were made with.
            paths (Sequence[str]): Relative paths of the images.
            boxes (Sequence[np.ndarray]): Boxes of each image, (P_i, 4).
            sizes (Sequence): Width and height of each image.
            status (Sequence[int]): How its boxes came about.
            files (dict, optional): Texts to keep in the folder, by file
                name. Defaults to None.

        Raises:
            OSError: If it cannot be written.
        """
        encoded = [path.encode(**ENCODING) for path in paths]
        order = sorted(range(len(paths)), key=encoded.__getitem__)
        encoded = [encoded[i] for i in order]
        boxes = [np.asarray(boxes[i], np.float32) for i in order]
        arrays = dict(
            boxes=np.concatenate(boxes) if boxes else np.zeros((0, 4)),
            offsets=np.cumsum([0] + [len(box) for box in boxes]),
            sizes=np.array([sizes[i] for i in order]).reshape(-1, 2),
            status=np.array([status[i] for i in order]),
            paths=np.frombuffer(b''.join(encoded), np.uint8),
            path_offsets=np.cumsum([0] + [len(path) for path in encoded]))
        arrays = {
            name: arrays[name].astype(dtype)
            for name, dtype in ARRAYS.items()
        }
        header = dict(
            header,
            format=FORMAT,
            version=VERSION,
            shapes={name: array.shape
                    for name, array in arrays.items()})
        with atomic_folder(folder) as partial:
            for name, array in arrays.items():
                np.save(partial / f'{name}.npy', array)
            for name, text in (files or {}).items():
                (partial / name).write_text(text)
            (partial / HEADER).write_text(json.dumps(header, indent=1))

    def __len__(self) -> int:
        """Number of images."""
        return len(self._arrays['status'])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the paths, sorted."""
        return (self.path(index) for index in range(len(self)))

    def path(self, index: int) -> str:
        """Relative path of an image, by its index."""
        return self._path(index).decode(**ENCODING)

    def _path(self, index: int) -> bytes:
        start, stop = self._arrays['path_offsets'][index:index + 2]
        return self._arrays['paths'][start:stop].tobytes()

    def index(self, path: str) -> int:
        """Index of an image.

        Raises:
            KeyError: If there is no such image.
        """
        wanted = path.encode(**ENCODING)
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if self._path(middle) < wanted:
                low = middle + 1
            else:
                high = middle
        if low == len(self) or self._path(low) != wanted:
            raise KeyError(path)
        return low

    def __getitem__(self, path: str) -> np.ndarray:
        """Boxes of an image.

        Args:
            path (str): Its path relative to the folder of images.

        Returns:
            np.ndarray: x1 y1 x2 y2 in pixels of the image, float32, (P, 4).

        Raises:
            KeyError: If there is no such image.
        """
        index = self.index(path)
        start, stop = self._arrays['offsets'][index:index + 2]
        return np.array(self._arrays['boxes'][start:stop])
