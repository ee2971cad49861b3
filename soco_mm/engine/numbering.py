"""The numbers of iterations in what a training has written about itself.

A training that is resumed with another batch, accumulation or number of processes
counts its iterations anew: those that are done become those of as many epochs. What
was written before is renumbered with them, so that charts and verdicts have one axis.
"""

import json
import re
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from soco_mm.utils import atomic_write, write_json
from soco_mm.utils.files import read_dict

from .health import HEALTH
from .layout import Layout
from .retrieval import RETRIEVAL
from .timeline import TIMELINE

SCALARS = 'vis_data/scalars.json'
# In which MMEngine's log of a process lies.
STAMP = re.compile(r'\d{8}_\d{6}')
# The layout by which the files are numbered, if it was changed.
NUMBERING = 'numbering.json'
WRITTEN = (HEALTH, RETRIEVAL, TIMELINE)


def find_scalars(folder: Path) -> list[Path]:
    """The files of scalars in a run, the earliest first.

    ``tools/train.py`` writes one for each process, in a folder of its own.
    """
    own = folder / SCALARS
    stamped = sorted(
        path
        for path in folder.glob(f'*/{SCALARS}')
        if STAMP.fullmatch(path.parents[1].name)
    )
    return [*stamped, *([own] if own.is_file() else [])]


def renumber(folder: Path, before: Layout, now: Layout) -> None:
    """Number what a run has written by another layout; in place.

    It may be called again after a kill: the layout of the files is noted.

    Args:
        folder (Path): The folder of the run.
        before (Layout): That of the checkpoint from which it goes on.
        now (Layout): The other one.
    """
    with suppress(TypeError):  # it is missing, or not of a layout
        before = Layout(**read_dict(folder / NUMBERING))
    if before.numbers_as(now):
        return
    scalars = find_scalars(folder)
    for path in scalars:
        lines = path.read_text(encoding='utf-8', errors='replace').splitlines()
        lines = [renumber_line(each, before, now) for each in lines]
        atomic_write(path, ''.join(f'{each}\n' for each in lines))
    others = {path: read_dict(path) for path in map(folder.joinpath, WRITTEN)}
    others = {path: content for path, content in others.items() if content}
    for path, content in others.items():
        for key, rows in content.items():
            if isinstance(rows, list):
                content[key] = [renumber_row(row, before, now) for row in rows]
        write_json(path, content)
    if scalars or others:
        write_json(folder / NUMBERING, asdict(now))


def renumber_line(line: str, before: Layout, now: Layout) -> str:
    """A line of scalars; one that was cut off stays as it is."""
    try:
        return json.dumps(renumber_row(json.loads(line), before, now))
    except ValueError:
        return line


def renumber_row(row: Any, before: Layout, now: Layout) -> Any:
    """A row whose ``iter``, or ``first`` and ``last``, are numbers of iterations."""
    if not isinstance(row, dict) or not row.keys() & {'iter', 'last'}:
        return row  # such as an evaluation, whose step is an epoch
    row = dict(row)
    for key in row.keys() & {'iter', 'step', 'first', 'last'}:
        if isinstance(row[key], int):
            row[key] = before.renumber(row[key], now)
    for key in row.keys() & {'time', 'data_time'}:  # of an iteration
        if isinstance(row[key], (int, float)):
            row[key] *= before.accumulated / now.accumulated
    return row
