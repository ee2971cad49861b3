"""Run the experiments of the study, or what is left of them."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import mmcv
import mmdet
import mmengine
import numpy
import torch

from soco_mm.utils import SoCoError, UsageError, make_writable
from soco_mm.version import __version__

from .cells import Cell
from .data import DATA_SETS, check_data, hash_data
from .imagenet import prepare_imagenet
from .plan import EXPERIMENTS
from .records import CELLS, PRETRAININGS, append_record, read_cells, read_records
from .starts import STARTS, prepare_proposals
from .tasks import Task, run_tasks

WORK = 'work'  # in the folder of a study: what the records are made from


def run_study(
    data: str | Path,
    out: str | Path,
    experiments: Sequence[str] = ('quick',),
    jobs: int = 2,
    imagenet: str | Path | None = None,
    data_sets: Sequence[str] = tuple(DATA_SETS),
) -> None:
    """Run experiments; cells that are recorded in ``out`` are not run again.

    Args:
        data (str | Path): The folder of the data sets.
        out (str | Path): The folder of the study: ``cells.jsonl`` and
            ``pretrainings.jsonl`` hold the records, ``work`` the rest.
        experiments (Sequence[str]): Names in :data:`EXPERIMENTS`, in the order
            in which they run. Defaults to ``quick``.
        jobs (int): Number of processes, of one thread each. Defaults to 2.
        imagenet (str | Path, optional): The file of ImageNet's weights, see
            :func:`prepare_imagenet`. Defaults to None, which downloads it.
        data_sets (Sequence[str]): Only cells of these. Defaults to all.

    Raises:
        UsageError: If data are missing or the records are of other data.
        SoCoError: If a part fails; the others are run.
    """
    data, out = Path(data).resolve(), Path(out).resolve()
    if jobs < 1:
        raise UsageError(f'jobs must be at least 1, but is {jobs}.')
    planned = (cell for name in experiments for cell in EXPERIMENTS[name].cells())
    cells = [cell for cell in dict.fromkeys(planned) if cell.data in data_sets]
    names = sorted({cell.data for cell in cells})
    check_data(data, names)
    hashes = {name: hash_data(data, name) for name in names}
    known = read_records(out / CELLS)
    for record in known:
        name = record['cell']['data']
        if name in hashes and record['hashes']['data'] != hashes[name]:
            raise UsageError(
                f'{out / CELLS} holds cells of other annotations of {name}. '
                'Choose another folder.'
            )
    done = set(read_cells(out / CELLS))
    left = [cell for cell in cells if cell not in done]
    print(f'{len(cells)} cells, {len(cells) - len(left)} of them done', flush=True)
    work = out / WORK
    make_writable(work)
    prepare_imagenet(work, imagenet and Path(imagenet))
    for name in sorted({cell.data for cell in left}):
        prepare_proposals(data, name, work)
    tasks = plan_tasks(left, data, work)
    failed = []
    for task, result, error in run_tasks(tasks, work / 'logs', jobs):
        if error:
            failed.append(error)
            continue
        result['versions'] = versions()
        result.setdefault('hashes', {})['data'] = hashes[task.data]
        record(out, result)
        print(describe(result), flush=True)
    if failed:
        raise SoCoError(
            f'{len(failed)} parts of the study failed, the first: {failed[0]} '
            'Call it again to go on.'
        )


def record(out: Path, result: dict) -> None:
    """Append the result of a task, unless it is there."""
    path = out / (CELLS if 'cell' in result else PRETRAININGS)
    keys = ('data', 'config', 'seed')
    if path.name == PRETRAININGS and any(
        all(each[key] == result[key] for key in keys) for each in read_records(path)
    ):
        return
    append_record(path, result)


def plan_tasks(cells: Sequence[Cell], data: Path, work: Path) -> list[Task]:
    """Pretrainings and detectors, each after what it starts from."""
    tasks: dict[str, Task] = {}
    for cell in cells:
        config = STARTS[cell.start].config
        first = f'{cell.data}_{config}_{cell.seed}' if config else None
        if first and first not in tasks:
            tasks[first] = Task(
                first,
                cell.data,
                'starts.pretrain',
                (config, cell.data, cell.seed, data, work),
            )
        tasks[cell.name] = Task(
            cell.name, cell.data, 'cells.train_cell', (cell, data, work), after=first
        )
    return list(tasks.values())


def describe(result: dict) -> str:
    """What a task found, in a line."""
    if 'cell' in result:
        cell = Cell(**result['cell'])
        return f'{cell.name}: AP {100 * result["metrics"]["bbox_mAP"]:.1f}'
    after = result['retrieval'].get('after', {})
    found = ', '.join(f'{key} {after[key]:.3g}' for key in ('found', 'rank') if after)
    return f'{result["data"]}_{result["config"]}_{result["seed"]}: {found or "done"}'


def versions() -> dict[str, str]:
    """What the figures depend on besides the code."""
    modules = (torch, mmengine, mmcv, mmdet, numpy, cv2)
    return dict(
        soco_mm=__version__, **{each.__name__: each.__version__ for each in modules}
    )
