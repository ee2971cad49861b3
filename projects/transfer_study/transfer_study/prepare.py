"""Data sets of the study, made from clones of their repositories."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from soco_mm.utils import SoCoError, UsageError, atomic_folder

from .aerial import convert_aerial
from .bccd import convert_bccd
from .data import DATA_SETS, hash_files
from .raccoon import convert_raccoon


class Source(NamedTuple):
    """Where a data set is from.

    Attributes:
        repository (str): Its owner and name on GitHub.
        images (str): A path in a clone that shows that it is the right one.
        hash (str): Of the annotations of both sets, as the study has them.
        convert (Callable): Takes a clone and a folder for the images; returns the
            content of the COCO json of the training and of the test set.
    """

    repository: str
    images: str
    hash: str
    convert: Callable[[Path, Path], list[dict]]


SOURCES = {
    'bccd': Source(
        'Shenggan/BCCD_Dataset', 'BCCD/JPEGImages', '6839d152f08b', convert_bccd
    ),
    'raccoon': Source(
        'datitran/raccoon_dataset',
        'images/raccoon-1.jpg',
        'f522c139e870',
        convert_raccoon,
    ),
    'aerial': Source(
        'jekhor/aerial-cars-dataset', 'aerial.names', '16e52cf71edf', convert_aerial
    ),
}


def prepare(name: str, clone: Path, data: Path) -> Path:
    """Convert the annotations of a data set, and copy or shrink its images.

    Args:
        name (str): One of :data:`SOURCES`.
        clone (Path): A clone of its repository.
        data (Path): The folder of the data sets.

    Returns:
        Path: The folder of this name in it.

    Raises:
        UsageError: If it is not such a clone, or the folder is there already.
        SoCoError: If the annotations are not those of the study.
    """
    source, out = SOURCES[name], data / name
    if not (clone / source.images).exists():
        raise UsageError(
            f'{clone} has no {source.images}. Give a clone of '
            f'https://github.com/{source.repository}.'
        )
    if out.exists():
        raise UsageError(f'{out} is there already. Remove it, or give another folder.')
    with atomic_folder(out) as folder:
        own = DATA_SETS[name]
        images, *made = (
            folder / Path(p).name for p in (own.images, own.train, own.test)
        )
        images.mkdir()
        for path, content in zip(made, source.convert(clone, images)):
            path.write_text(json.dumps(content))
        found = hash_files(*made)
        if found != source.hash:
            raise SoCoError(
                f'The annotations in {clone} are not those of the study: their hash '
                f'is {found}, not {source.hash}.'
            )
    return out
