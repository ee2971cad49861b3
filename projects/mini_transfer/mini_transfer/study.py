"""A transfer study on one machine: what pretraining is worth."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

import torch
from mmengine.config import Config

from soco_mm.proposals import build_settings
from soco_mm.proposals.make import make_proposals
from soco_mm.utils import SoCoError, UsageError, atomic_write, make_writable, read_json

from .cells import (
    CELLS,
    DATA_SETS,
    FOLDER,
    IMAGES,
    SCRATCH,
    Cell,
    cell_path,
    pretrain_start,
    proposals_of,
    train_cell,
)
from .report import report_study

METHODS = (
    SCRATCH,
    'byol',
    'soco',
    'soco_whole-image',
    'soco_no-head',
    'soco_no-scale-aware-assignment',
    'soco_no-box-jitter',
    'soco_two-views',
)
STUDY = 'study.json'
UNLABELLED = 'photos'
# Blood cells are smaller than the objects of the paper's photos.
PROPOSALS = {'selective-search': dict(size_range=(0.04, 0.8))}


def mini_transfer(
    data: str | Path,
    out: str | Path,
    data_sets: Sequence[str] = tuple(DATA_SETS),
    methods: Sequence[str] = METHODS,
    fractions: Sequence[float] = (0.05, 0.1, 0.5, 1.0),
    seeds: int = 3,
    epochs: int | None = None,
    iterations: int = 400,
    batch_size: int = 4,
    scale: tuple = (256, 192),
    jobs: int = 2,
) -> list[Path]:
    """Run a study, or what is left of one.

    Args:
        data (str | Path): The folder of ``DATA_SETS`` and ``UNLABELLED``.
        out (str | Path): The folder of the study. One that was interrupted
            continues where it was.
        data_sets (Sequence[str]): Names in ``DATA_SETS``. Defaults to all.
        methods (Sequence[str]): ``scratch``, and names of configs of
            pretrainings. Defaults to ``METHODS``.
        fractions (Sequence[float]): Shares of the labelled images. Defaults
            to (.05, .1, .5, 1.).
        seeds (int): How often everything is repeated, with the seeds 0, 1 and
            so on, for pretraining, labels and detector alike. Defaults to 3.
        epochs (int, optional): Length of the pretrainings. Defaults to None,
            as in their configs.
        iterations (int): Length of the detectors' training. Defaults to 400.
        batch_size (int): Its images per step. Defaults to 4.
        scale (tuple): Its largest long and short side, in pixels. Defaults to
            (256, 192).
        jobs (int): Number of processes, of one thread each on a CPU. Defaults
            to 2.

    Returns:
        list[Path]: A table and a plot of all cells of ``out``, also of
        earlier calls.

    Raises:
        UsageError: If data are missing, ``out`` holds another study, or a
            share or a number is out of range.
        SoCoError: If a cell fails; the others are done before, and reported.
    """
    data, out = Path(data).resolve(), Path(out).resolve()
    check_data(data)
    for share in fractions:
        if not 0 < share <= 1:
            raise UsageError(f'A share of the labels is in (0, 1], not {share:g}.')
    for name, number in dict(
        seeds=seeds,
        epochs=1 if epochs is None else epochs,
        iterations=iterations,
        batch_size=batch_size,
        scale=min(scale),
        jobs=jobs,
    ).items():
        if number < 1:
            raise UsageError(f'{name} is at least 1, not {number}.')
    images = images_of(data)
    settings = dict(
        data=hash_data(data, images),
        epochs=epochs,
        iterations=iterations,
        batch_size=batch_size,
        scale=list(scale),
        proposals={name: str(each) for name, each in PROPOSALS.items()},
        configs={
            path.stem: hashlib.sha256(
                Config.fromfile(path).pretty_text.encode()
            ).hexdigest()[:12]
            for path in sorted(FOLDER.glob('*.py'))
        },
    )
    claim_study(out, settings)
    atomic_write(out / IMAGES, '\n'.join(images) + '\n')
    prepare_proposals(data, out, methods)
    # Each once, however often it is named.
    cells = dict.fromkeys(
        Cell(name, method, fraction, seed)
        for name in data_sets
        for seed in range(seeds)
        for fraction in fractions
        for method in methods
    )
    try:
        run_cells(list(cells), data, out, settings, jobs)
    finally:
        report = report_study(read_cells(out), out)
    return report


def check_data(data: Path) -> None:
    """Raise UsageError if data are missing; pretrainings use all of them."""
    needed = [data / path for each in DATA_SETS.values() for path in each]
    for path in [*needed, data / UNLABELLED]:
        if not path.exists():
            names = ', '.join([*DATA_SETS, UNLABELLED])
            raise UsageError(f'There is no {path}. Give the folder that holds {names}.')


def read_cells(out: Path) -> dict[str, dict]:
    """The finished cells of a study, by name."""
    return {
        path.stem: json.loads(path.read_text())
        for path in sorted((Path(out) / CELLS).glob('*.json'))
    }


def claim_study(out: Path, settings: dict) -> None:
    """Take a folder for a study, or go on with the same one.

    Raises:
        UsageError: If it holds something else.
    """
    marker = out / STUDY
    if marker.is_file():
        there = json.loads(marker.read_text())
        differing = [key for key in settings if there.get(key) != settings[key]]
        if differing:
            raise UsageError(
                f'{out} holds a study of other settings '
                f'({", ".join(differing)}). Choose another folder.'
            )
        return
    if out.is_dir() and any(out.iterdir()):
        raise UsageError(
            f'{out} holds files that are not of a study. Choose an empty folder.'
        )
    make_writable(out / CELLS)
    atomic_write(marker, json.dumps(settings, indent=1))


def images_of(data: Path) -> list[str]:
    """The images to pretrain on, by paths below the folder of the data."""
    names = [
        f'{UNLABELLED}/{path.name}'
        for path in sorted((data / UNLABELLED).glob('*.jpg'))
    ]
    for each in DATA_SETS.values():
        names += [
            f'{each.images}/{image["file_name"]}'
            for image in read_json(data / each.train)['images']
        ]
    return names


def hash_data(data: Path, images: Sequence[str]) -> str:
    """A hash of the names of the images and of all annotations."""
    found = hashlib.sha256('\n'.join(images).encode())
    for each in DATA_SETS.values():
        for path in (each.train, each.val):
            found.update((data / path).read_bytes())
    return found.hexdigest()[:12]


def prepare_proposals(data: Path, out: Path, methods: Sequence[str]) -> None:
    """Make the proposals of the images to pretrain on."""
    kinds = {proposals_of(method) for method in methods if method != SCRATCH}
    for kind in sorted(kinds):
        make_proposals(
            out / IMAGES,
            out / 'proposals' / kind,
            settings=build_settings(method=kind, **PROPOSALS.get(kind, {})),
            root=data,
        )


def run_cells(
    cells: Sequence[Cell], data: Path, out: Path, settings: dict, jobs: int
) -> None:
    """Run the cells that are not there, in order, each after its pretraining.

    Raises:
        SoCoError: If some fail.
    """
    left = [cell for cell in cells if not cell_path(out, cell).is_file()]
    done, failed, began = len(cells) - len(left), [], time.time()
    running: dict[Future, tuple] = {}
    starts: dict[tuple, bool] = {}  # whether a pretraining has ended
    # Spawned: a process that has used OpenMP cannot be forked safely.
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context('spawn'),
        initializer=prepare_process,
        initargs=(os.getpid(),),
    ) as pool:
        while left or running:
            while len(running) < jobs and (cell := choose(left, starts)):
                start = cell.method, cell.seed
                if starts.setdefault(start, cell.method == SCRATCH):
                    left.remove(cell)
                    log, task = cell.name, (train_cell, cell)
                else:
                    log = f'pretrain_{cell.method}_{cell.seed}'
                    task = (pretrain_start, *start)
                    starts[start] = None
                future = pool.submit(
                    logged,
                    task[0],
                    out / 'logs' / f'{log}.log',
                    *task[1:],
                    data,
                    out,
                    settings,
                )
                running[future] = task
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                function, *about = running.pop(future)
                if error := future.exception():
                    failed.append(str(error))
                if function is pretrain_start:
                    starts[tuple(about)] = True
                    if error:
                        left = [
                            each for each in left if [each.method, each.seed] != about
                        ]
                elif not error:
                    done += 1
                    found = json.loads(cell_path(out, about[0]).read_text())
                    print(
                        f'[{done}/{len(cells)}] {about[0].name}: AP '
                        f'{100 * found["metrics"]["bbox_mAP"]:.1f}, '
                        f'{time.time() - began:.0f} s since the start',
                        flush=True,
                    )
    if failed:
        raise SoCoError(
            f'{len(failed)} parts of the study failed, the first: '
            f'{failed[0]}. Call it again to go on.'
        )


def choose(left: Sequence[Cell], starts: dict[tuple, bool]) -> Cell | None:
    """The first cell that can be trained, or whose pretraining can begin."""
    for cell in left:
        # None while the pretraining runs.
        if starts.get((cell.method, cell.seed), False) is not None:
            return cell
    return None


def prepare_process(parent: int) -> None:
    """One thread a process, which ends when the study is killed."""
    torch.set_num_threads(1)

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def logged(function, log: Path, *args) -> None:
    """Call a function; what it prints goes to a file.

    Raises:
        RuntimeError: If it fails, with the last line of the error alone.
    """
    log.parent.mkdir(exist_ok=True)
    with log.open('a') as stream:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            try:
                function(*args)
            except Exception as error:
                traceback.print_exc()
                raise RuntimeError(f'{error} (see {log})') from None
