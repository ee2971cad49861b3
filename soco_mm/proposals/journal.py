import json
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np

from soco_mm.utils import UsageError, atomic_write

from .layout import Proposals

SETTINGS_FILE = 'settings.json'
RECORDS = 'records.bin'
REPLACES = 'replaces'
ROOT = 'root'
# Bytes of the text, number of boxes, CRC-32 of what follows.
_HEAD = struct.Struct('<III')


class Journal:
    """Results of an unfinished run, kept so that a kill loses none of them.

    A folder with the settings and one growing file of records: a head, a JSON
    text and the boxes. A record that a kill cut short is dropped when the
    journal is opened again. Of two records of an image the later one counts.

    Args:
        folder (str | Path): The folder; it is made if needed.
        settings (dict): What the results are made with, of JSON's types.
        replaces (bool): Whether this run replaces an existing store. Then
            it continues only from results of such a run with these settings, and
            deletes others. Defaults to False.
        root (str, optional): The folder of the images, which is noted. Defaults to
            None.

    Attributes:
        replaces (bool): Whether the run that started it replaces a store.
        root (str, optional): The folder of the images when it began.
        failed (set[str]): The images that failed.
        seconds (dict[str, float]): CPU time by image, where it is known.

    Raises:
        UsageError: If the folder holds results of other settings.
    """

    def __init__(
        self,
        folder: str | Path,
        settings: dict,
        replaces: bool = False,
        root: str | None = None,
    ) -> None:
        self.folder = Path(folder)
        marker = self.folder / REPLACES
        if replaces and not (marker.is_file() and self._is_of(settings)):
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.root = self._claim_settings(settings, root)
        if replaces:
            marker.touch()
        self.replaces = marker.is_file()
        self._stream = (self.folder / RECORDS).open('a+b')
        self._offsets: dict = {}
        self.failed: set = set()
        self.seconds: dict = {}
        end = 0
        before = os.fstat(self._stream.fileno())
        self._size, self._written = before.st_size, before.st_mtime
        while result := self._read(end):
            self._note(result, end)
            end = self._stream.tell()
        self._stream.truncate(end)
        self._size = end

    def _is_of(self, settings: dict) -> bool:
        """Whether the folder holds results of these settings."""
        try:
            there = json.loads((self.folder / SETTINGS_FILE).read_text())
            return not describe_difference(
                {**there, ROOT: None}, {**settings, ROOT: None}
            )
        except (OSError, ValueError, AttributeError):
            return False

    def _claim_settings(self, settings: dict, root: str | None) -> str | None:
        """Write the settings of a new run; refuse an existing one with others.

        Returns:
            str, optional: The folder of the images when it began.
        """
        path, records = self.folder / SETTINGS_FILE, self.folder / RECORDS
        try:
            there = json.loads(path.read_text())
        except FileNotFoundError:
            records.unlink(missing_ok=True)
            there = None
        except (OSError, ValueError) as error:
            raise UsageError(
                f'{path} cannot be read ({error}). Start again with --overwrite.'
            ) from None
        # What was refused or stopped before its first result binds nobody.
        if there is None or not (records.is_file() and records.stat().st_size):
            atomic_write(path, json.dumps({**settings, ROOT: root}, indent=1))
            return root
        began = there.pop(ROOT, root)
        if difference := describe_difference(there, settings):
            raise UsageError(
                f'{self.folder} holds an unfinished run with other settings '
                f'({difference}). Use the same, or start again with '
                '--overwrite.'
            )
        return began

    def append(self, result: Proposals) -> None:
        """Keep a result."""
        text = json.dumps(
            dict(
                path=result.path,
                size=result.size,
                status=result.status,
                failure=result.failure,
                seconds=round(result.seconds, 6),
                found=result.found,
            )
        ).encode()
        rest = text + np.asarray(result.boxes, '<f4').tobytes()
        head = _HEAD.pack(len(text), len(result.boxes), zlib.crc32(rest))
        self._stream.write(head + rest)
        self._stream.flush()  # to the system, which outlives this process
        self._note(result, self._size)
        self._size += len(head) + len(rest)

    def _note(self, result: Proposals, offset: int) -> None:
        self._offsets[result.path] = offset
        self.failed.discard(result.path)
        if result.failure is not None:
            self.failed.add(result.path)
        if result.seconds:
            self.seconds[result.path] = result.seconds

    def paths(self) -> list[str]:
        """The images that are done."""
        return list(self._offsets)

    def drop_older(self, root: str) -> list[str]:
        """Drop what was made of images that have been replaced since.

        Those are newer than the last result that was kept.

        Args:
            root (str): The folder of the images.

        Returns:
            list[str]: Their paths.
        """
        replaced = []
        for path in self._offsets:
            try:
                if os.stat(os.path.join(root, path)).st_mtime > self._written:
                    replaced.append(path)
            except OSError:  # counted where it is made
                continue
        for path in replaced:
            del self._offsets[path]
            self.failed.discard(path)
            self.seconds.pop(path, None)
        return replaced

    def __len__(self) -> int:
        """Number of images."""
        return len(self._offsets)

    def __contains__(self, path: str) -> bool:
        """Whether an image is done."""
        return path in self._offsets

    def __getitem__(self, path: str) -> Proposals:
        """The result of an image."""
        return self._read(self._offsets[path])

    def _read(self, offset: int):
        """The record at an offset, None if there is no whole one."""
        self._stream.seek(offset)
        head = self._stream.read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, number, checksum = _HEAD.unpack(head)
        # Zeros are what a power failure may leave.
        if not length or offset + length + 16 * number > self._size:
            return None
        rest = self._stream.read(length + 16 * number)
        if len(rest) < length + 16 * number or zlib.crc32(rest) != checksum:
            return None
        fields = json.loads(rest[:length])
        fields['size'] = tuple(fields['size'])
        if fields.get('found') is not None:
            fields['found'] = tuple(fields['found'])
        boxes = np.frombuffer(rest[length:], '<f4').reshape(-1, 4)
        return Proposals(boxes=boxes, **fields)

    def close(self) -> None:
        """Close its file."""
        self._stream.close()

    def delete(self) -> None:
        """Remove it with all its results."""
        self._stream.close()
        shutil.rmtree(self.folder)


def describe_difference(there: dict, wanted: dict, prefix: str = '') -> str:
    """Say where two settings differ; empty if they do not."""
    parts = []
    for key in sorted({*there, *wanted}):
        old, new = there.get(key), wanted.get(key)
        name = f'{prefix}{key}'
        if isinstance(old, dict) and isinstance(new, dict):
            parts.append(describe_difference(old, new, f'{name}.'))
        elif old != new:
            parts.append(f'{name} {old}, not {new}')
    return '; '.join(part for part in parts if part)
