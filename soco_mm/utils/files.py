import fcntl
import hashlib
import json
import math
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from soco_mm.errors import UsageError

# A file with this suffix was not finished.
PARTIAL = '.partial'
# The folder that is being replaced.
OLD = '.old'
LOCK = '.lock'


def atomic_write(path: str | Path, data: bytes | str) -> None:
    """Write a file that appears whole or not at all.

    Args:
        path (str | Path): The file; its folder is made if needed.
        data (bytes | str): The content; text is written as UTF-8.

    Raises:
        OSError: If it cannot be written; nothing stays behind.
    """
    with atomic_stream(path) as stream:
        stream.buffer.write(data.encode() if isinstance(data, str) else data)


def is_older(made: Path, source: Path) -> bool:
    """Whether a file is missing, or was made before what it is made of."""
    return not made.is_file() or made.stat().st_mtime < source.stat().st_mtime


def finite_or_none(value):
    """Plain data with None instead of NaN and infinity.

    JSON has neither, but Python would write them.
    """
    if isinstance(value, dict):
        return {key: finite_or_none(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite_or_none(each) for each in value]
    # Includes numbers of NumPy and PyTorch.
    try:
        return value if math.isfinite(value) else None
    except (OverflowError, RuntimeError, TypeError, ValueError):
        return value


def write_json(path: str | Path, value) -> None:
    """Write JSON that appears whole or not at all, null for NaN."""
    atomic_write(path, json.dumps(finite_or_none(value), indent=1) + '\n')


@contextmanager
def atomic_stream(path: str | Path) -> Iterator[TextIO]:
    """Write a file, part by part, that appears whole or not at all.

    Args:
        path (str | Path): The file; its folder is made if needed.

    Yields:
        TextIO: A stream to write to, UTF-8.

    Raises:
        OSError: If it cannot be written; nothing stays behind.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stream, partial = _open_partial(path)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            partial.replace(path)  # while it is locked
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _open_partial(path: Path) -> tuple[TextIO, Path]:
    """Open a temporary file, which no other process writes.

    Its name tells what a kill has left, and the next writer takes it over. Another
    one is used while that is locked.
    """
    partial = path.with_name(path.name + PARTIAL)
    stream = partial.open('a', encoding='utf-8')
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Not the file that another process has renamed meanwhile.
        if os.path.samestat(os.fstat(stream.fileno()), os.stat(partial)):
            stream.truncate(0)
            return stream, partial
    except OSError:  # locked, gone, or a file system without locks
        pass
    stream.close()
    partial = path.with_name(f'{path.name}.{uuid.uuid4().hex[:8]}{PARTIAL}')
    return partial.open('x', encoding='utf-8'), partial


@contextmanager
def atomic_folder(folder: str | Path) -> Iterator[Path]:
    """Fill a folder that appears whole or not at all.

    Args:
        folder (str | Path): The folder; an existing one is replaced at the end.

    Yields:
        Path: The folder to fill, under a temporary name.

    Raises:
        OSError: If it cannot be written; nothing stays behind.
    """
    folder = Path(folder)
    partial = folder.with_name(folder.name + PARTIAL)
    old = folder.with_name(folder.name + OLD)
    shutil.rmtree(partial, ignore_errors=True)
    if old.exists() and not folder.exists():
        os.replace(old, folder)  # a kill came between the two below
    try:
        partial.mkdir(parents=True)
        yield partial
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            os.replace(folder, old)
        os.replace(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)


@contextmanager
def exclusive(folder: str | Path, what: str, *, inside: bool = False) -> Iterator[None]:
    """Keep other processes from making the same folder at the same time.

    Args:
        folder (str | Path): The folder, which need not exist.
        what (str): What is being made, for the message.
        inside (bool): Note it in the folder, which is made, not beside it. Defaults
            to False.

    Raises:
        UsageError: If another process is making it, or the folder that notes it
            cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    path = folder / LOCK if inside else folder.with_name(folder.name + LOCK)
    make_writable(path.parent)
    while True:
        stream = path.open('a')
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.close()
            raise UsageError(
                f'Another process is making {what} in {folder}. '
                'Wait for it, or stop it.'
            ) from None
        except OSError:
            pass  # a file system without locks
        try:
            if os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                break
        except FileNotFoundError:
            pass
        stream.close()  # the process that held it has just removed it
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        stream.close()


def file_hash(path: str | Path) -> str:
    """SHA-256 of a file, which need not fit into memory."""
    digest = hashlib.sha256()
    with Path(path).open('rb') as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_dict(path: Path) -> dict[str, Any]:
    """A dictionary out of a JSON file; empty if it is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_json(path: str | Path):
    """Read annotations.

    Args:
        path (str | Path): A COCO json.

    Returns:
        What it holds.

    Raises:
        UsageError: If it cannot be read, or is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(
            f'{path} cannot be read ({error.strerror}). Give a COCO json.'
        ) from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f'{path} is not JSON ({error}). Give a COCO json.') from None


def make_writable(folder: str | Path) -> None:
    """Make a folder, or say why nothing can be written there.

    Raises:
        UsageError: If it cannot be made or written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(
            f'The folder {folder} cannot be made ({error.strerror}). Choose another.'
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(
            f'The folder {folder} cannot be written. Choose '
            'another, or change its permissions.'
        )
