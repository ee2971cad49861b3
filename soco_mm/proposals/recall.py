import math
import posixpath
from pathlib import Path
from typing import NamedTuple, Tuple, Union

import numpy as np

from soco_mm.utils import UsageError, read_json
from .random_boxes import RandomBoxes
from .store import ProposalStore

THRESHOLDS = (0.5, 0.7)
# By the area of the annotation in pixels, from and below, as COCO has them.
OBJECT_SIZES = dict(
    all=(0, np.inf),
    small=(0, 32**2),
    medium=(32**2, 96**2),
    large=(96**2, np.inf))


class Objects(NamedTuple):
    """Annotated objects on images of a store.

    Attributes:
        boxes (np.ndarray): x1 y1 x2 y2 in pixels, float64, (G, 4).
        areas (np.ndarray): Of the annotations in pixels, which is less than
            that of the box where there is a mask, (G,).
        images (np.ndarray): Indices in the store, (G,), sorted.
        num_images (int): Annotated images in the store.
        absent (int): Annotated images that are not in the store.
        other_size (int): Those left out because the annotations are of an
            image of another width or height.
    """
    boxes: np.ndarray
    areas: np.ndarray
    images: np.ndarray
    num_images: int
    absent: int
    other_size: int


def read_objects(path: Union[str, Path], store: ProposalStore) -> Objects:
    """Read the annotated objects of the images in a store.

    Crowds (``iscrowd``) and boxes without width or height are left out.

    Args:
        path (str | Path): A COCO json whose ``file_name`` are the paths in the
            store.
        store (ProposalStore): The store.

    Returns:
        Objects: The objects.

    Raises:
        UsageError: If the file cannot be read, or has no object on an image of
            the store.
    """
    content = read_json(path)
    try:
        images = {
            image['id']: (posixpath.normpath(image['file_name']),
                          image.get('width'), image.get('height'))
            for image in content['images']
        }
        annotations = [
            each for each in content['annotations'] if not each.get('iscrowd')
        ]
        owners = [each['image_id'] for each in annotations]
        rows = np.array([_read_row(each) for each in annotations])
        rows = rows.reshape(-1, 5)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f'{path} is not a COCO json with "images" (id, file_name) and '
            '"annotations" (image_id, bbox of four numbers): '
            f'{type(error).__name__} {error}.') from None

    indices, other_size = _match(images, store, path)
    owner = np.array([indices.get(each, -1) for each in owners], int)
    kept = (owner >= 0) & (rows[:, 2:4] > 0).all(1)
    if not kept.any():
        raise UsageError(f'{path} has no object on the {len(indices)} images '
                         f'that are in {store.folder}. Give a file with their '
                         'annotations, or leave it out.')
    order = np.flatnonzero(kept)
    order = order[np.argsort(owner[order], kind='stable')]
    rows = rows[order]
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
    return Objects(boxes, rows[:, 4], owner[order], len(indices),
                   len(images) - len(indices) - other_size, other_size)


def _read_row(annotation: dict) -> Tuple[float, ...]:
    """x y w h of an annotation, and its area."""
    x, y, width, height = map(float, annotation['bbox'])
    row = x, y, width, height, float(annotation.get('area', width * height))
    if not all(map(math.isfinite, row)):
        raise ValueError(f'numbers of annotation {annotation.get("id")} are '
                         'not finite')
    return row


def _match(images: dict, store: ProposalStore,
           path: Union[str, Path]) -> Tuple[dict, int]:
    """Find annotated images in the store.

    Returns:
        tuple: Their indices by the ids of the annotations, and the number of
        those that have another size in the store.

    Raises:
        UsageError: If none is the same.
    """
    indices, other_size = {}, 0
    for number, (name, *size) in images.items():
        try:
            index = store.index(name)
        except (KeyError, UnicodeEncodeError):
            continue
        if None in size or tuple(size) == store.size(index):
            indices[number] = index
        else:
            other_size += 1
            example = (name, size, store.size(index))
    if not indices and other_size:
        name, (width, height), (its_width, its_height) = example
        raise UsageError(
            f'The annotations in {path} are of images of another size, for '
            f'example {name}: {width}x{height} there, {its_width}x{its_height}'
            f' in {store.folder}. Give the annotations of these very images.')
    if not indices:
        example = next(iter(images.values()), ('none', ))[0]
        raise UsageError(
            f'No image of {path} is in {store.folder}: the file names do not '
            f'match, for example {example} there and {next(iter(store))} '
            'here. Make the proposals in the folder that the file names are '
            'relative to.')
    return indices, other_size


def overlaps(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of all pairs of boxes.

    Args:
        first (np.ndarray): x1 y1 x2 y2, (G, 4).
        second (np.ndarray): The same, (P, 4).

    Returns:
        np.ndarray: From 0 to 1, float64, (G, P).
    """
    first, second = (np.asarray(boxes, float) for boxes in (first, second))
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1)
             for boxes in (first, second)]
    union = areas[0][:, None] + areas[1] - shared
    return shared / np.maximum(union, np.finfo(float).tiny)


def best_overlaps(store: ProposalStore,
                  objects: Objects,
                  seed: int = 0) -> Tuple[np.ndarray, np.ndarray]:
    """The overlap of each object with the box that fits it best.

    Args:
        store (ProposalStore): The proposals.
        objects (Objects): The objects.
        seed (int): Of the random boxes. Defaults to 0.

    Returns:
        tuple: With the proposals, and with the same number of random boxes of
        the shapes and sizes that the store's filter keeps (or of the paper's,
        where it has none), each (G,).
    """
    shape = dict(store.header.get('filter') or {})
    shape.pop('min_side', None)
    rng = np.random.default_rng(seed)
    found, by_chance = np.zeros((2, len(objects.boxes)))
    images, starts = np.unique(objects.images, return_index=True)
    stops = [*starts[1:], len(objects.boxes)]
    for index, start, stop in zip(images.tolist(), starts, stops):
        proposals = store.boxes(index)
        width, height = store.size(index)
        # The generator looks at the shape alone; this takes no memory.
        blank = np.broadcast_to(np.uint8(0), (height, width, 3))
        random = RandomBoxes(len(proposals), **shape)(blank, rng)
        these = objects.boxes[start:stop]
        found[start:stop] = overlaps(these, proposals).max(1)
        by_chance[start:stop] = overlaps(these, random).max(1)
    return found, by_chance


def measure_recall(areas: np.ndarray, best: np.ndarray) -> dict:
    """Recall and average best overlap.

    An object is found at a threshold if the overlap (IoU) of the best box with
    it reaches the threshold; a box may find several objects. The average best
    overlap (ABO) is the mean of these overlaps over all objects.

    Args:
        areas (np.ndarray): Areas of the annotations in pixels, (G,).
        best (np.ndarray): The best overlaps, (G,).

    Returns:
        dict: For ``all``, ``small``, ``medium`` and ``large`` objects the
        ``objects`` (their number), ``recall_50``, ``recall_70`` and ``abo``,
        which are None where there are no objects.
    """
    figures = {}
    for name, (low, high) in OBJECT_SIZES.items():
        these = best[(areas >= low) & (areas < high)]
        number = len(these)
        figures[name] = dict(objects=number)
        for threshold in THRESHOLDS:
            figures[name][f'recall_{100 * threshold:.0f}'] = (
                float(np.mean(these >= threshold)) if number else None)
        figures[name]['abo'] = float(np.mean(these)) if number else None
    return figures
