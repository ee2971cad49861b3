import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Optional, Union

import numpy as np
from rich.console import Console
from rich.progress import (BarColumn, MofNCompleteColumn, Progress,
                           TextColumn, TimeRemainingColumn)

from soco_mm.proposals import PRESETS, ProposalStore, generate_proposals
from soco_mm.proposals.filters import STATUS
from soco_mm.proposals.store import MARKER
from soco_mm.utils import SoCoError, check_replaceable, list_images

FAILURES = 'failures.jsonl'


def make_proposals(images: Union[str, Path],
                   out: Union[str, Path],
                   preset: str = 'paper',
                   num_workers: Optional[int] = None) -> dict:
    """Make the object proposals of a folder of images.

    Images that cannot be used are left out and listed, with the reason, in
    ``failures.jsonl`` in the store.

    Args:
        images (str | Path): The folder of images; folders below it count.
        out (str | Path): The store to write, a folder.
        preset (str): ``paper`` or ``released``. Defaults to ``paper``.
        num_workers (int, optional): Number of processes. Defaults to None,
            one a core.

    Returns:
        dict: The figures that :func:`describe_proposals` puts into words.

    Raises:
        UsageError: If there are no images, or ``out`` cannot be written.
        SoCoError: If none of the images can be used.
    """
    out = Path(out).resolve()
    paths = list_images(images)
    check_replaceable(out, MARKER, 'proposals')
    workers = num_workers or len(os.sched_getaffinity(0))
    settings = PRESETS[preset]
    started = time.time()
    results, failures = [], []
    with _progress(len(paths)) as advance:
        for result in generate_proposals(
                images, paths, num_workers=workers, **settings):
            if result.failure:
                failures.append(
                    dict(image=result.path, reason=result.failure))
            if len(result.boxes):
                results.append(result)
            advance(len(failures))
    if not results:
        raise SoCoError(
            f'None of the {len(paths)} images in {images} can be used; '
            f'the first, {failures[0]["image"]}, {failures[0]["reason"]}.')
    counts = [len(result.boxes) for result in results]
    status = Counter(STATUS[result.status] for result in results)
    summary = dict(
        images=len(results),
        failures=len(failures),
        skipped=len(paths) - len(results),
        boxes=sum(counts),
        boxes_per_image=dict(
            zip(('min', 'median', 'max'),
                np.quantile(counts, [0, .5, 1]).tolist())),
        status={name: status[name] for name in STATUS},
        seconds=round(time.time() - started, 2),
        num_workers=workers)
    failures.sort(key=lambda failure: failure['image'])
    ProposalStore.write(
        out,
        dict(preset=preset, **settings, summary=summary),
        [result.path for result in results],
        [result.boxes for result in results],
        [result.size for result in results],
        [result.status for result in results],
        files={
            FAILURES: ''.join(
                json.dumps(failure) + '\n' for failure in failures)
        })
    return dict(summary, store=str(out), first_failures=failures[:5])


def describe_proposals(summary: dict) -> str:
    """Put the figures of :func:`make_proposals` into words."""
    quantiles = summary['boxes_per_image']
    lines = [
        f'Proposals: {summary["store"]}',
        f'  {summary["images"]} images, {summary["boxes"]} boxes; '
        f'{quantiles["median"]:.0f} an image (from {quantiles["min"]:.0f} to '
        f'{quantiles["max"]:.0f}); {summary["seconds"]:.1f} s',
    ]
    fallbacks = {
        name: number
        for name, number in summary['status'].items()
        if number and name != 'filtered'
    }
    if fallbacks:
        lines.append('  images whose filter had to be relaxed: ' + ', '.join(
            f'{name.replace("_", " ")} {number}'
            for name, number in fallbacks.items()))
    if summary['failures']:
        lines.append(f'  {summary["failures"]} images had to be skipped or '
                     f'took the whole image; see '
                     f'{Path(summary["store"]) / FAILURES}')
        lines += [
            f'    {printable(failure["image"])} {failure["reason"]}'
            for failure in summary['first_failures']
        ]
    return '\n'.join(lines)


def printable(path: str) -> str:
    """A path as a terminal can show it, whatever bytes its name has."""
    return path.encode('utf-8', 'backslashreplace').decode()


class _progress:
    """A progress bar on a terminal, and a line now and then elsewhere."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self.started = self.shown = time.time()
        self.bar = None
        if sys.stderr.isatty():
            self.bar = Progress(
                TextColumn('Proposals'), BarColumn(), MofNCompleteColumn(),
                TextColumn('{task.fields[rate]:.1f} images/s, '
                           '{task.fields[failed]} failed,'),
                TimeRemainingColumn(), console=Console(stderr=True))
            self.task = self.bar.add_task('', total=total, rate=0., failed=0)

    def __enter__(self):
        if self.bar:
            self.bar.start()
        return self.advance

    def __exit__(self, *error) -> None:
        if self.bar:
            self.bar.stop()

    def advance(self, failed: int) -> None:
        self.done += 1
        now = time.time()
        rate = self.done / max(now - self.started, 1e-6)
        if self.bar:
            self.bar.update(
                self.task, completed=self.done, rate=rate, failed=failed)
        elif now - self.shown > 10 or self.done == self.total:
            self.shown = now
            print(
                f'Proposals: {self.done}/{self.total} images, {rate:.1f} '
                f'images/s, {failed} failed, '
                f'{(self.total - self.done) / rate:.0f} s left',
                file=sys.stderr,
                flush=True)
