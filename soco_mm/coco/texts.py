"""Text files as tools on any machine write them."""

import codecs
import os
from collections.abc import Iterable, Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path

from soco_mm.errors import UsageError
from soco_mm.utils.sizes import THREADS


def read_text(path: str | os.PathLike) -> str:
    """Read a text in UTF-8 or, if it has that byte order mark, in UTF-16.

    Args:
        path (str | Path): The file.

    Returns:
        str: Its text, without the byte order mark.

    Raises:
        UsageError: If it cannot be read, or is in another encoding.
    """
    try:
        return decode(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f'{path} cannot be read ({error.strerror}).') from None
    except UnicodeDecodeError as error:
        raise UsageError(
            f'{path} is not UTF-8 text ({error.reason} at '
            f'byte {error.start}). Save it as UTF-8.'
        ) from None


def decode(data: bytes) -> str:
    """Decode UTF-8 or, after its byte order mark, UTF-16.

    Raises:
        UnicodeDecodeError: If it is neither.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode('utf-16')
    return data.decode('utf-8-sig')


def read_texts(paths: Iterable[str | os.PathLike]) -> Iterator[str]:
    """Read many small texts at once; see :func:`read_text`."""
    with ThreadPool(THREADS) as pool:
        yield from pool.imap(read_text, paths, chunksize=16)
