"""Run the experiments of the study, or what is left of them."""

import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import mmcv
import mmdet
import mmengine
import numpy
import torch

from soco_mm.utils import SoCoError, UsageError, exclusive, make_writable
from soco_mm.version import __version__

from .cells import Cell
from .data import DATA_SETS, check_data, hash_data
from .imagenet import prepare_imagenet
from .plan import EXPERIMENTS, Ablation, Experiment
from .pretrainings import (
    Pretraining,
    hash_text,
    precision_of,
    prepare_proposals,
    pretraining_config,
)
from .records import (
    CELLS,
    PRETRAININGS,
    RESULTS,
    append_record,
    read_cells,
    read_pretrainings,
)
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
        UsageError: If data are missing, the records are of other data, or another
            process runs a study in ``out``.
        SoCoError: If a part fails; the others are run.
    """
    data, out = Path(data).resolve(), Path(out).resolve()
    if jobs < 1:
        raise UsageError(f'jobs must be at least 1, but is {jobs}.')
    chosen = [EXPERIMENTS[name] for name in experiments]
    cells = planned(chosen, 'cells', data_sets)
    pretrainings = planned(chosen, 'pretrainings', data_sets)
    names = sorted({each.data for each in (*cells, *pretrainings)})
    if not names:
        raise UsageError(
            f'{", ".join(experiments)} has no cell on {", ".join(data_sets)}. '
            'Choose other --data-sets.'
        )
    check_data(data, names)
    hashes = {name: hash_data(data, name) for name in names}
    make_writable(out / WORK)
    with exclusive(out / WORK, 'a study'):
        check_records(out, hashes)
        run_left(cells, pretrainings, data, out, jobs, imagenet, hashes)


def run_left(
    cells: Sequence[Cell],
    pretrainings: Sequence[Pretraining],
    data: Path,
    out: Path,
    jobs: int,
    imagenet: str | Path | None,
    hashes: dict[str, str],
) -> None:
    """Run and record what is not recorded yet; ``hashes`` are those of the data.

    Raises:
        SoCoError: If a part fails; the others are run.
    """
    known, published = {*read_cells(out), *read_pretrainings(out)}, read_cells(RESULTS)
    left = [cell for cell in cells if cell not in known]
    alone = [each for each in pretrainings if each not in known]
    number = len(cells) + len(pretrainings)
    done = number - len(left) - len(alone)
    work = out / WORK
    tasks = plan_tasks(left, alone, data, work)
    print(
        f'{number} cells and pretrainings, {done} of them done; {len(tasks)} to run '
        f'with what they start from (logs in {work / "logs"})',
        flush=True,
    )
    if tasks:
        prepare_imagenet(work, imagenet and Path(imagenet))
    needed = [*alone, *(cell.pretraining for cell in left if cell.pretraining)]
    for name, whole in sorted({(each.data, each.whole) for each in needed}):
        prepare_proposals(data, name, work, whole)
    failed: list[str] = []
    began = time.monotonic()
    with closing(run_tasks(tasks, work / 'logs', jobs)) as ended:
        for number, (task, result, error) in enumerate(ended, 1):
            if error:
                failed.append(error)
                said = f'{task.name}: failed'
            else:
                result['versions'] = versions()
                result.setdefault('hashes', {})['data'] = hashes[task.data]
                record(out, result)
                said = describe(result, published)
            seconds = (time.monotonic() - began) / (number + jobs - 1)
            minutes = seconds * (len(tasks) - number) / 60
            print(
                f'[{number}/{len(tasks)}] {said}; about {minutes:.0f} min left',
                flush=True,
            )
    if failed:
        raise SoCoError(
            f'{len(failed)} parts of the study failed, the first: {failed[0]} '
            'Call it again to go on.'
        )


def planned(
    experiments: Sequence[Experiment | Ablation], kind: str, data_sets: Sequence[str]
) -> list:
    """The cells or pretrainings of experiments, each once, of some data sets."""
    found = (one for each in experiments for one in getattr(each, kind)())
    return [each for each in dict.fromkeys(found) if each.data in data_sets]


def check_records(out: Path, hashes: dict[str, str]) -> None:
    """Refuse to add to the records of other annotations, pretrainings or precision.

    Raises:
        UsageError: If there are any.
    """
    pretrainings = read_pretrainings(out)
    here = {}
    for name in {each.config for each in pretrainings}:
        cfg = pretraining_config(name)
        here[name] = hash_text(cfg.pretty_text), precision_of(cfg)
    for pretraining, record in pretrainings.items():
        config, precision = here[pretraining.config]
        # The first records have no hash of the config, and no precision.
        if record['hashes'].get('config', config) != config:
            raise UsageError(
                f'{out} holds figures of another config of {pretraining.config}. '
                'Choose another folder.'
            )
        if (there := record.get('precision', precision)) != precision:
            raise UsageError(
                f'{out} holds pretrainings in {there}, but this machine computes in '
                f'{precision}. Choose another folder.'
            )
    for each in (*read_cells(out).items(), *pretrainings.items()):
        name, there = each[0].data, each[1]['hashes']['data']
        if hashes.get(name, there) != there:
            raise UsageError(
                f'{out} holds figures of other annotations of {name}. '
                'Choose another folder.'
            )


def plan_tasks(
    cells: Sequence[Cell], pretrainings: Sequence[Pretraining], data: Path, work: Path
) -> list[Task]:
    """Pretrainings and detectors, each after what it starts from."""
    tasks: dict[str, Task] = {}

    def add(needed: Pretraining) -> None:
        tasks.setdefault(
            needed.name,
            Task(
                needed.name,
                needed.data,
                'pretrainings.pretrain',
                (needed, data, work),
            ),
        )

    for needed in pretrainings:
        add(needed)
    for cell in cells:
        needed = cell.pretraining
        if needed:
            add(needed)
        tasks[cell.name] = Task(
            cell.name,
            cell.data,
            'cells.train_cell',
            (cell, data, work),
            after=needed and needed.name,
        )
    return list(tasks.values())


def record(out: Path, result: dict) -> None:
    """Append what a task found, unless it is there."""
    if 'cell' in result:
        append_record(out / CELLS, result)
    elif Pretraining(**result['pretraining']) not in read_pretrainings(out):
        append_record(out / PRETRAININGS, result)


def describe(result: dict, published: dict[Cell, dict]) -> str:
    """What a task found, in a line, beside what the published records have."""
    if 'cell' in result:
        cell = Cell(**result['cell'])
        said = f'{cell.name}: AP {100 * result["metrics"]["bbox_mAP"]:.1f}'
        if cell in published:
            there = 100 * published[cell]['metrics']['bbox_mAP']
            said += f' (published: {there:.1f})'
        return said
    after = result['retrieval'].get('after', {})
    found = ', '.join(f'{key} {after[key]:.3g}' for key in ('found', 'rank') if after)
    return f'{Pretraining(**result["pretraining"]).name}: {found or "done"}'


def versions() -> dict[str, str]:
    """What the figures depend on besides the code."""
    modules = (torch, mmengine, mmcv, mmdet, numpy, cv2)
    return dict(
        soco_mm=__version__, **{each.__name__: each.__version__ for each in modules}
    )
