import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from .filters import STATUS
from .layout import (
    ARRAYS,
    FAILURES,
    FILES,
    FORMAT,
    FOUND,
    HEADER,
    VERSION,
    Proposals,
    encode_path,
    file_hashes,
    header_hash,
)


def write_files(folder: Path, header: dict, results: Iterable[Proposals]) -> None:
    """Fill an empty folder with the files of a store."""
    boxes, sizes, status, counts, lengths = (
        _ArrayWriter(folder / f'{name}.npy', ARRAYS[name], row)
        for name, row in (
            ('boxes', (4,)),
            ('sizes', (2,)),
            ('status', ()),
            ('offsets', ()),
            ('path_offsets', ()),
        )
    )
    paths = _ArrayWriter(folder / 'paths.npy', np.uint8, ())
    numbers = dict.fromkeys(STATUS, 0)
    found = np.zeros(len(FOUND), int)
    failed = 0
    # The ends of what was written so far become the offsets.
    counts.append(0)
    lengths.append(0)
    with (folder / FAILURES).open('w') as failures:
        for result in results:
            found += result.found or 0
            if result.failure:
                failed += 1
                failures.write(
                    json.dumps(dict(image=result.path, reason=result.failure)) + '\n'
                )
            if not len(result.boxes):
                continue
            boxes.append(result.boxes)
            sizes.append([result.size])
            status.append([result.status])
            numbers[STATUS[result.status]] += 1
            paths.append(np.frombuffer(encode_path(result.path), np.uint8))
            counts.append(boxes.rows)
            lengths.append(paths.rows)
    header = _add_found(header, found)
    header = dict(
        format=FORMAT,
        version=VERSION,
        num_images=status.rows,
        num_boxes=boxes.rows,
        num_failures=failed,
        status=numbers,
        # In a fixed order, so that equal stores have equal bytes.
        **{key: header[key] for key in sorted(header)},
        arrays={
            name: writer.close()
            for name, writer in dict(
                boxes=boxes,
                offsets=counts,
                sizes=sizes,
                status=status,
                paths=paths,
                path_offsets=lengths,
            ).items()
        },
        failures=file_hashes(folder / FAILURES),
    )
    header['hash'] = header_hash(header)
    (folder / HEADER).write_text(json.dumps(header, indent=1))


def _add_found(header: dict, found: np.ndarray) -> dict:
    """A header with the boxes found, where those of earlier images are known."""
    if header.get('found') is None:
        return header
    before = [header['found'][key] for key in FOUND]
    return dict(header, found=dict(zip(FOUND, (found + before).tolist())))


def keep_others(folder: Path, partial: Path) -> None:
    """Take the files over that are in a folder besides those of its store.

    Args:
        folder (Path): The folder, which is replaced afterwards.
        partial (Path): The folder that replaces it.
    """
    for each in folder.iterdir() if folder.is_dir() else ():
        if each.name in FILES:
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.copytree(
                each, partial / each.name, symlinks=True, copy_function=_link
            )
        else:
            _link(each, partial / each.name)


def _link(source: str | Path, target: str | Path) -> None:
    """The same file under another name; a copy where there are no such links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


class _ArrayWriter:
    """Writes an .npy file whose length is known only at its end."""

    def __init__(self, path: Path, dtype: type, row: tuple) -> None:
        self.path = path
        self.dtype = np.dtype(dtype).newbyteorder('<')
        self.row = row
        self.rows = 0
        self.stream = path.open('wb')
        self._write_header()

    def _write_header(self) -> None:
        # NumPy leaves room for any number of rows, so that it can be written
        # again in place.
        np.lib.format.write_array_header_1_0(
            self.stream,
            dict(
                descr=self.dtype.str, fortran_order=False, shape=(self.rows, *self.row)
            ),
        )

    def append(self, rows) -> None:
        """Append rows, or one number."""
        rows = np.asarray(rows, self.dtype).reshape(-1, *self.row)
        self.stream.write(rows.tobytes())
        self.rows += len(rows)

    def close(self) -> dict:
        """Complete the file; returns what the header says of it."""
        self.stream.seek(0)
        self._write_header()
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        return dict(shape=[self.rows, *self.row], **file_hashes(self.path))
