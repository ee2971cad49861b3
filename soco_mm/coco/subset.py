"""Seeded subsets of COCO annotations, such as Mini COCO (Section 4.3)."""

import hashlib
import json
from functools import partial
from pathlib import Path

from soco_mm.errors import UsageError
from soco_mm.utils import atomic_stream, read_json

from .structure import index_images, list_of, read_images, wrong


def write_subset(
    annotations: str | Path, percent: float, seed: int, out: str | Path
) -> tuple[Path, int, int]:
    """Write a subset as ``NAME_5pct.json``; the same bytes every time.

    Args:
        annotations (str | Path): A COCO json.
        percent (float): The share of its images, in percent.
        seed (int): Seed of the draw.
        out (str | Path): The folder to write to.

    Returns:
        tuple: The file, and its numbers of images and objects.

    Raises:
        UsageError: If the annotations cannot be read, or the share is out of
            range.
    """
    subset = coco_subset(read_json(annotations), percent / 100, seed, annotations)
    path = Path(out) / f'{Path(annotations).stem}_{percent:g}pct.json'
    with atomic_stream(path) as stream:
        json.dump(subset, stream)
    return path, len(subset['images']), len(subset['annotations'])


def coco_subset(
    annotations: dict, fraction: float, seed: int = 0, path: str | Path = 'The file'
) -> dict:
    """Draw a share of the images of a COCO json.

    Which images are drawn depends only on their ids and the seed, not on
    their order in the file; and a smaller share is part of a larger one.

    Args:
        annotations (dict): The content of a COCO json.
        fraction (float): The share of the images, above 0 and up to 1; at
            least one image is drawn.
        seed (int): Seed of the draw. Defaults to 0.
        path (str | Path): Where the content is from, for messages.

    Returns:
        dict: The same with the images that were drawn, in their order, and
        their annotations; everything else is kept.

    Raises:
        UsageError: If the fraction is out of range, or there is no image.
    """
    if not 0 < fraction <= 1:
        raise UsageError(
            'The fraction of the images must be above 0 and up '
            f'to 1, but is {fraction}.'
        )
    images = read_images(annotations, path)
    entries = list_of(annotations, 'annotations', path)
    if not images:
        raise UsageError(f'{path} has no image.')
    known = index_images(images, path)
    ids = sorted((each.id for each in images), key=partial(_hash, seed))
    drawn = set(ids[: max(1, round(fraction * len(ids)))])
    owners = []
    for number, each in enumerate(entries):
        try:
            owner = known.find(each.get('image_id')) if isinstance(each, dict) else None
        except TypeError as error:
            raise wrong(path, 'annotation', number, each, error) from None
        owners.append(owner)
    return dict(
        annotations,
        images=[
            raw for raw, each in zip(annotations['images'], images) if each.id in drawn
        ],
        annotations=[
            each
            for each, owner in zip(entries, owners)
            if owner is not None and images[owner].id in drawn
        ],
    )


def _hash(seed: int, image_id) -> bytes:
    """The key by which images are drawn."""
    return hashlib.sha256(f'{seed} {image_id}'.encode()).digest()
