"""Seeded subsets of COCO annotations, as Mini COCO (Section 4.3)."""
import hashlib
import json
from pathlib import Path
from typing import Tuple, Union

from soco_mm.utils import UsageError, atomic_stream, read_json


def write_subset(annotations: Union[str, Path], percent: float, seed: int,
                 out: Union[str, Path]) -> Tuple[Path, int, int]:
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
    subset = coco_subset(read_json(annotations), percent / 100, seed)
    path = Path(out) / f'{Path(annotations).stem}_{percent:g}pct.json'
    with atomic_stream(path) as stream:
        json.dump(subset, stream)
    return path, len(subset['images']), len(subset['annotations'])


def coco_subset(annotations: dict, fraction: float, seed: int = 0) -> dict:
    """Draw a share of the images of a COCO json.

    Which images are drawn depends on their ids and the seed alone, not on
    their order in the file; and a smaller share is part of a larger one.

    Args:
        annotations (dict): The content of a COCO json.
        fraction (float): The share of the images, above 0 and up to 1; one
            image at least is drawn.
        seed (int): Seed of the draw. Defaults to 0.

    Returns:
        dict: The same with the images that were drawn, in their order, and
        their annotations; everything else is kept.

    Raises:
        UsageError: If the fraction is out of range, or there is no image.
    """
    if not 0 < fraction <= 1:
        raise UsageError('The fraction of the images must be above 0 and up '
                         f'to 1, but is {fraction}.')
    try:
        ids = [image['id'] for image in annotations['images']]
        owners = [each['image_id'] for each in annotations['annotations']]
    except (KeyError, TypeError) as error:
        raise UsageError('The annotations are not those of a COCO json with '
                         '"images" (id) and "annotations" (image_id): '
                         f'{type(error).__name__} {error}.') from None
    if not ids:
        raise UsageError('The annotations have no image.')
    ids.sort(key=lambda each: hashlib.sha256(f'{seed} {each}'.encode()).digest(
    ))
    drawn = set(ids[:max(1, round(fraction * len(ids)))])
    return dict(
        annotations,
        images=[
            image for image in annotations['images'] if image['id'] in drawn
        ],
        annotations=[
            each for each, owner in zip(annotations['annotations'], owners)
            if owner in drawn
        ])
