"""The records of a study: one JSON object a line."""

import json
import os
from pathlib import Path
from typing import Any

from soco_mm.utils import SoCoError

from .cells import Cell
from .pretrainings import Pretraining

CELLS = 'cells.jsonl'
PRETRAININGS = 'pretrainings.jsonl'
RESULTS = Path(__file__).parents[1] / 'results'  # the published ones


def read_records(path: Path) -> list[dict[str, Any]]:
    """Read a file of records; none if there is no file.

    A last line that was cut off is left out, also before its end of line alone:
    :func:`append_record` replaces it.

    Raises:
        SoCoError: If another line cannot be read.
    """
    if not path.is_file():
        return []
    records = []
    for number, line in enumerate(path.read_text().split('\n')[:-1], 1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise SoCoError(f'Line {number} of {path}: {error}.') from None
    return records


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Append a record, in place of a line that a kill has cut off."""
    if path.is_file():
        whole = path.read_bytes().rpartition(b'\n')[0]
        os.truncate(path, len(whole) + 1 if whole else 0)
    with path.open('a') as stream:
        stream.write(json.dumps(record) + '\n')
        stream.flush()
        os.fsync(stream.fileno())


def read_cells(out: Path) -> dict[Cell, dict[str, Any]]:
    """The records of a study's detectors, by cell."""
    return {Cell(**each['cell']): each for each in read_records(out / CELLS)}


def read_pretrainings(out: Path) -> dict[Pretraining, dict[str, Any]]:
    """The records of a study's pretrainings."""
    return {
        Pretraining(**each['pretraining']): each
        for each in read_records(out / PRETRAININGS)
    }
