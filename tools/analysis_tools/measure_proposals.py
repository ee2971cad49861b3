"""Measure what proposals find on annotated data sets, and what they cost, as JSON.

For each data set under DATA the proposals of its validation images are made with
each preset, and with what is derived from the annotations of its training images.
"""

import argparse
import json
import tempfile
from pathlib import Path

import cv2

from soco_mm.cli import run
from soco_mm.proposals import ProposalStore, build_settings, make_proposals
from soco_mm.proposals.fitting import fit_settings
from soco_mm.proposals.listing import list_input
from soco_mm.proposals.recall import best_overlaps, measure_recall, read_ground_truth
from soco_mm.utils import UsageError

# Folder of the images for validation, annotations for training and validation.
DATA_SETS = dict(
    bccd=('bccd/images', 'bccd/instances_train.json', 'bccd/instances_val.json'),
    coco128=(
        'coco128/val2017',
        'coco128/detection_train.json',
        'coco128/detection_val.json',
    ),
    raccoon=(
        'raccoon/images',
        'raccoon/instances_train.json',
        'raccoon/instances_val.json',
    ),
    aerial=(
        'aerial/images',
        'aerial/instances_train.json',
        'aerial/instances_val.json',
    ),
)
METHODS = ('selective-search', 'edge-boxes', 'union')


def measure(images, annotations: Path, settings: dict, folder: Path) -> dict:
    """Recall, boxes an image and CPU-seconds an image of some settings."""
    made = make_proposals(images, folder, settings=settings, num_workers=1)
    store = ProposalStore.open(folder)
    objects = read_ground_truth(annotations, store)
    found, random = best_overlaps(store, objects)
    ours = measure_recall(objects.areas, found)['all']
    return dict(
        generator=settings['generator'],
        filter=settings['filter'],
        objects=ours['objects'],
        recall_50=round(ours['recall_50'], 3),
        recall_70=round(ours['recall_70'], 3),
        random_50=round(measure_recall(objects.areas, random)['all']['recall_50'], 3),
        boxes_per_image=made.boxes_per_image['median'],
        cpu_seconds_per_image=made.seconds_per_image,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('data', type=Path, help='the folder of the data sets')
    parser.add_argument(
        '--only',
        nargs='+',
        choices=DATA_SETS,
        default=[*DATA_SETS],
        help='the data sets to measure (default: all)',
    )
    args = parser.parse_args()
    for name in args.only:
        for each in DATA_SETS[name]:
            if not (args.data / each).exists():
                raise UsageError(
                    f'There is no {args.data / each}, which {name} needs. Choose '
                    'others with --only.'
                )
    report: dict = dict(opencv=cv2.__version__)
    for name in args.only:
        images, train, val = (args.data / each for each in DATA_SETS[name])
        listed = list_input(val, images)
        runs = {
            'paper': build_settings('paper'),
            'released': build_settings('released'),
            'fast': build_settings('fast'),
        }
        for method in METHODS:
            fitted = fit_settings(train, listed, method=method)
            runs[f'{method}, fitted'] = fitted
        # The segmentation of the presets, with the filter that fits.
        for preset in ('paper', 'fast'):
            settings = build_settings(preset)
            settings['filter'] = fitted['filter']
            runs[f'{preset}, fitted filter'] = settings
        report[name] = {}
        for number, (title, settings) in enumerate(runs.items()):
            with tempfile.TemporaryDirectory() as folder:
                report[name][title] = measure(
                    listed, val, settings, Path(folder, str(number))
                )
    print(json.dumps(report, indent=1))


if __name__ == '__main__':
    run(main)
