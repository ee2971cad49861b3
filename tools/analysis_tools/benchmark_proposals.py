"""Measure proposals: time, workers, memory, and the store, as JSON.

Images are 500x375 JPEGs, cut from real photos; the large store is synthetic.
Rates with one and with two workers are measured in turns, so that their ratio
holds on a noisy machine.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from benchmark_pipeline import ROOT, write_images

from soco_mm.proposals import (
    Proposals,
    ProposalStore,
    build_settings,
    generate_proposals,
)

OPEN = """
import json, resource, sys, time
import numpy as np
from soco_mm.proposals import ProposalStore

def resident():
    with open('/proc/self/status') as status:
        line, = (line for line in status if line.startswith('VmRSS'))
    return int(line.split()[1]) / 1024

before, started = resident(), time.perf_counter()
store = ProposalStore.open(sys.argv[1])
seconds, grown = time.perf_counter() - started, resident() - before
numbers = np.random.default_rng(0).integers(len(store), size=20000).tolist()
paths = [store.path(number) for number in numbers]
started = time.perf_counter()
for path in paths:
    store[path]
by_path = (time.perf_counter() - started) / len(paths)
started = time.perf_counter()
for number in numbers:
    store.boxes(number)
by_index = (time.perf_counter() - started) / len(paths)
print(json.dumps(dict(
    open_seconds=round(seconds, 4), open_resident_mb=round(grown, 1),
    boxes_by_path_us=round(1e6 * by_path, 2),
    boxes_by_index_us=round(1e6 * by_index, 2))))
"""
LARGE = """
import resource, sys
from soco_mm.proposals import build_settings
from soco_mm.proposals.worker import Worker

worker = Worker(build_settings(), sys.argv[1])
assert len(worker('large.jpg').boxes)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def rate(root: Path, paths: list, workers: int) -> tuple:
    """Images/s once the workers have started, and their CPU-seconds per image."""
    seconds, started = [], None
    for result in generate_proposals(root, paths, build_settings(), workers):
        assert result.failure is None
        seconds.append(result.seconds)
        if len(seconds) == 2 * workers:  # all have started
            started = time.perf_counter()
    elapsed = time.perf_counter() - started
    return (len(paths) - 2 * workers) / elapsed, statistics.mean(seconds)


def run(program: str, argument: Path):
    """What a program prints in its own process."""
    return json.loads(
        subprocess.run(
            [sys.executable, '-c', program, str(argument)],
            check=True,
            capture_output=True,
            text=True,
            cwd=ROOT,
        ).stdout
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--photos',
        type=Path,
        default=ROOT / 'demo/images',
        help='folder of photos to make images of (default: demo/images)',
    )
    parser.add_argument(
        '--number', type=int, default=60, help='images of a round (default: 60)'
    )
    parser.add_argument(
        '--rounds',
        type=int,
        default=3,
        help='rounds of which medians are taken (default: 3)',
    )
    parser.add_argument(
        '--store-images',
        type=int,
        default=1_280_000,
        help='images of the store that is read (default: 1280000)',
    )
    parser.add_argument(
        '--store-boxes',
        type=int,
        default=30,
        help='boxes of each of its images (default: 30)',
    )
    args = parser.parse_args()
    report = dict(images=f'{args.number} of 500x375', opencv=cv2.__version__)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        paths = [path.name for path in write_images(args.photos, folder, args.number)]
        rates, seconds = {1: [], 2: []}, []
        for _ in range(args.rounds):
            for workers in rates:
                images, cpu = rate(folder, paths, workers)
                rates[workers].append(images)
                if workers == 1:
                    seconds.append(cpu)
        report.update(
            cpu_seconds_per_image=round(statistics.median(seconds), 4),
            images_per_second={
                workers: round(statistics.median(values), 2)
                for workers, values in rates.items()
            },
            two_workers_against_one=round(
                statistics.median(two / one for one, two in zip(*rates.values())), 3
            ),
        )

        photo = cv2.imread(str(folder / paths[0]))
        cv2.imwrite(str(folder / 'large.jpg'), cv2.resize(photo, (6000, 4000)))
        report['peak_mb_on_6000x4000'] = round(run(LARGE, folder))

        store = folder / 'store'
        number, boxes = args.store_images, args.store_boxes
        block = np.random.default_rng(0).random((boxes, 4), np.float32)
        started = time.perf_counter()
        ProposalStore.write(
            store,
            {},
            (
                Proposals(
                    f'n{i // 1300:08}/n{i // 1300:08}_{i:08}.JPEG', block, (500, 375), 0
                )
                for i in range(number)
            ),
        )
        size = sum(path.stat().st_size for path in store.iterdir())
        report['store'] = dict(
            images=number,
            boxes_per_image=boxes,
            write_seconds=round(time.perf_counter() - started, 1),
            bytes_per_image=round(size / number, 1),
            **run(OPEN, store),
        )
    report['peak_mb_of_this_process'] = round(
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )
    print(json.dumps(report, indent=1))


if __name__ == '__main__':
    main()
