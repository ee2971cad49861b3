"""The data sets of the study, and what they are trained with."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from soco_mm.utils import UsageError, read_json


class DataSet(NamedTuple):
    """Annotated images, by paths below the folder of the data.

    Attributes:
        train (str): COCO json of the training; all its images are pretrained
            on, whatever the share of the labels.
        test (str): COCO json of the evaluation.
        images (str): The folder of the images of both.
        size_range (tuple): Sides of the proposals, as shares of the image's.
        scale (tuple): Largest long and short side in the detector, in pixels.
        iterations (int): Length of the detector's training, see LOG.md.
        anchor_scale (int, optional): Side of the RPN's anchors, in strides of their
            level. Defaults to None, as in the detector's config.
    """

    train: str
    test: str
    images: str
    size_range: tuple[float, float]
    scale: tuple[int, int] = (256, 192)
    iterations: int = 400
    anchor_scale: int | None = None


DATA_SETS = {
    'bccd': DataSet(
        'bccd/instances_train.json',
        'bccd/instances_test.json',
        'bccd/images',
        (0.05, 0.5),
    ),
    'raccoon': DataSet(
        'raccoon/instances_train.json',
        'raccoon/instances_val.json',
        'raccoon/images',
        (0.2, 0.9),
    ),
    'aerial': DataSet(
        'aerial/instances_train.json',
        'aerial/instances_val.json',
        'aerial/images',
        (0.02, 0.15),
        (384, 288),
        anchor_scale=3,  # half of the training vehicles have less than 7.1 pixels
    ),
    'coco128': DataSet(
        'coco128/detection_train.json',
        'coco128/detection_val.json',
        'coco128',
        (0.1, 0.8),
    ),
}


def check_data(data: Path, names) -> None:
    """Refuse a folder that lacks data.

    Raises:
        UsageError: If a file or folder is missing.
    """
    for name in names:
        each = DATA_SETS[name]
        for path in (each.train, each.test, each.images):
            if not (data / path).exists():
                raise UsageError(
                    f'There is no {data / path}. Give the folder that holds '
                    f'{", ".join(names)} (projects/transfer_study/README.md).'
                )


def images_of(data: Path, name: str) -> list[str]:
    """The images to pretrain on, by paths below the folder of the data."""
    each = DATA_SETS[name]
    return [
        f'{each.images}/{image["file_name"]}'
        for image in read_json(data / each.train)['images']
    ]


def hash_data(data: Path, name: str) -> str:
    """The start of a hash of the annotations, which name the images."""
    each = DATA_SETS[name]
    return hash_files(data / each.train, data / each.test)


def hash_files(*paths: Path) -> str:
    """The start of a hash of some files, one after another."""
    found = hashlib.sha256()
    for path in paths:
        found.update(path.read_bytes())
    return found.hexdigest()[:12]
