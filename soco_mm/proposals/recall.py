import os
import posixpath
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from soco_mm import coco
from soco_mm.coco import Account, NameFinder, clean_name, read_images, read_source
from soco_mm.coco.account import CLIPPED, CROWD, IGNORED, INVISIBLE, REPEATED
from soco_mm.coco.boxes import check_in_pixels, clip_box, reaches_out
from soco_mm.coco.files import path_below
from soco_mm.coco.structure import ImageEntry, list_of
from soco_mm.coco.values import Ids
from soco_mm.utils import UsageError

from .random_boxes import RandomBoxes
from .store import ProposalStore

THRESHOLDS = (0.5, 0.7)
# Ranges of the annotation's area in pixels (from, below), as in COCO.
OBJECT_SIZES = dict(
    all=(0, np.inf), small=(0, 32**2), medium=(32**2, 96**2), large=(96**2, np.inf)
)


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
        account (Account): Objects that were left out or clipped.
        labels (np.ndarray): Index of the class of each object, -1 where the
            file does not say, int64, (G,).
        classes (tuple[str]): Names of the classes.
    """

    boxes: np.ndarray
    areas: np.ndarray
    images: np.ndarray
    num_images: int
    absent: int
    other_size: int
    account: Account
    labels: np.ndarray
    classes: tuple[str, ...]


def read_ground_truth(path: str | Path, store: ProposalStore) -> Objects:
    """Read the annotated objects of the images in a store.

    As in the training of a detector, crowds, ignored objects and invisible
    boxes are left out, and the others are clipped to their images.

    Args:
        path (str | Path): COCO, YOLO or Pascal VOC annotations, see
            :func:`soco_mm.coco.read_source`, whose file names are the paths
            in the store; of a whole data set all its images.
        store (ProposalStore): The store.

    Returns:
        Objects: The objects.

    Raises:
        UsageError: If the file cannot be read, or has no object on an image of
            the store.
        SoCoError: If its boxes are not in pixels.
    """
    source = read_source(path, split=None)
    path, content, account = source.path, source.content, source.account
    images = read_images(content, path)
    annotations = list_of(content, 'annotations', path)
    entries = coco.read_objects(annotations, path, images, account=account)
    indices, other_size = _match(images, store, path, source.root)
    entries = [each for each in entries if each.image in indices]
    sizes: dict = {number: store.size(index) for number, index in indices.items()}
    check_in_pixels(path, entries, sizes)
    rows, owners, kept = [], [], []
    seen: dict = {}
    for each in entries:
        box = clip_box(each.box, *sizes[each.image])
        name = f'{each} on {images[each.image].file_name}'
        key = indices[each.image], each.category, each.box
        if seen.setdefault(key, each.image) != each.image:
            account.add(REPEATED, name)
        elif each.crowd or each.ignore:
            account.add(CROWD if each.crowd else IGNORED, name)
        elif box is None:
            account.add(INVISIBLE, name)
        else:
            if reaches_out(each.box, *sizes[each.image]):
                account.add(CLIPPED, name)
            x, y, w, h = box
            area = w * h if each.area is None else min(each.area, w * h)
            rows.append((x, y, x + w, y + h, area))
            owners.append(indices[each.image])
            kept.append(each)
    if not rows:
        reason = account.summary()
        raise UsageError(
            f'{path} has no object on the {len(indices)} images that are in '
            f'{store.folder}{": it has " * bool(reason)}{reason}. Give a file '
            'with their annotations, or leave it out.'
        )
    rows, owner = np.array(rows, float), np.array(owners)
    order = np.argsort(owner, kind='stable')
    rows = rows[order]
    labels, classes = _read_labels(content, kept)
    return Objects(
        rows[:, :4],
        rows[:, 4],
        owner[order],
        len(set(indices.values())),
        len(images) - len(indices) - other_size,
        other_size,
        account,
        labels[order],
        classes,
    )


def _read_labels(
    content: dict, entries: Sequence[coco.ObjectEntry]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class of each object, where there are any: recall does not need them."""
    categories = content.get('categories')
    found = [
        each
        for each in (categories if isinstance(categories, list) else ())
        if isinstance(each, dict)
        and {'id', 'name'} <= each.keys()
        and isinstance(each['id'], Hashable)
    ]
    ids = Ids(each['id'] for each in found)
    labels = np.full(len(entries), -1, np.int64)
    for row, entry in enumerate(entries):
        id_ = content['annotations'][entry.number].get('category_id')
        label = ids.find(id_) if isinstance(id_, Hashable) else None
        if label is not None:
            labels[row] = label
    return labels, tuple(str(each['name']) for each in found)


def _match(
    images: Sequence[ImageEntry],
    store: ProposalStore,
    path: str | Path,
    root: Path | None,
) -> tuple[dict, int]:
    """Find annotated images, in ``root`` if the layout says so, in the store.

    Returns:
        tuple: Their indices in the store by those in the list, and the number
        of those that have another size in the store.

    Raises:
        UsageError: If none is the same.
    """
    places, unclear = _find_places(images, store, root)
    if unclear and all(place is None for place in places):
        raise UsageError(
            f'{path} names {unclear} in {store.folder}. Make the proposals in the '
            'folder that the file names are relative to.'
        )
    indices, other_size = {}, 0
    for number, (each, index) in enumerate(zip(images, places)):
        if index is None:
            continue
        known = store.size(index)
        size = each.width or known[0], each.height or known[1]
        if size == known:
            indices[number] = index
        else:
            other_size += 1
            example = (each.file_name, size, known)
    if not indices and other_size:
        name, (width, height), (its_width, its_height) = example
        raise UsageError(
            f'The annotations in {path} are of images of another size, for '
            f'example {name}: {width}x{height} there, {its_width}x{its_height}'
            f' in {store.folder}. Give annotations of exactly these images.'
        )
    if not indices:
        first = images[0].file_name if images else 'none'
        raise UsageError(
            f'No image of {path} is in {store.folder}: the file names do not '
            f'match, for example {first} there and {next(iter(store))} '
            'here. Make the proposals in the folder that the file names are '
            'relative to.'
        )
    return indices, other_size


def _find_places(
    images: Sequence[ImageEntry], store: ProposalStore, root: Path | None
) -> tuple[list[int | None], str | None]:
    """Indices of images in the store, and what of the names is not clear, if any."""
    places = [_index(store, posixpath.normpath(each.file_name)) for each in images]
    others = {each.file_name for each, place in zip(images, places) if place is None}
    made_in = store.header.get('root')
    if others and root and made_in and os.path.isdir(made_in):
        # Folders of splits may have images of the same names.
        made_in = os.path.realpath(made_in)
        for number, each in enumerate(images):
            if places[number] is not None:
                continue
            real = os.path.realpath(root / clean_name(each.file_name))
            below = path_below(made_in, real)
            if below and os.path.isfile(real):
                places[number] = _index(store, below)
        others -= {
            each.file_name for each, place in zip(images, places) if place is not None
        }
    if not others:
        return places, None
    # Paths of another machine, or of a folder below or above.
    found, unclear = NameFinder(store).find_all(sorted(others))
    owners = {
        place: clean_name(each.file_name)
        for each, place in zip(images, places)
        if place is not None
    }
    for number, each in enumerate(images):
        name = each.file_name
        if places[number] is None and name in found:
            place = store.index(found[name])
            # That of a whole name is not another image, too.
            if owners.get(place, clean_name(name)) == clean_name(name):
                places[number] = place
    return places, unclear


def _index(store: ProposalStore, name: str) -> int | None:
    """The index of an image in the store, None if it is not in it."""
    try:
        return store.index(name)
    except (KeyError, UnicodeEncodeError):
        return None


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
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1] - shared
    return shared / np.maximum(union, np.finfo(float).tiny)


def best_overlaps(
    store: ProposalStore, objects: Objects, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The overlap of each object with the box that fits it best.

    Args:
        store (ProposalStore): The proposals.
        objects (Objects): The objects.
        seed (int): Seed of the random boxes. Defaults to 0.

    Returns:
        tuple: With the proposals, and with the same number of random boxes of
        the shapes and sizes that the store's filter keeps, or its random boxes have
        (else of the paper's), each (G,).
    """
    shape = dict(store.header.get('filter') or {})
    generator = store.header.get('generator') or {}
    if generator.get('type') == RandomBoxes.__name__:  # which are not filtered
        shape = {key: generator[key] for key in ('max_aspect', 'size_range')}
    shape.pop('min_side', None)
    rng = np.random.default_rng(seed)
    found, by_chance = np.zeros((2, len(objects.boxes)))
    images, starts = np.unique(objects.images, return_index=True)
    stops = [*starts[1:], len(objects.boxes)]
    for index, start, stop in zip(images.tolist(), starts, stops):
        proposals = store.boxes(index)
        width, height = store.size(index)
        # The generator only looks at the shape; this takes no memory.
        blank = np.broadcast_to(np.uint8(0), (height, width, 3))
        random = RandomBoxes(len(proposals), **shape)(blank, rng)
        these = objects.boxes[start:stop]
        found[start:stop] = overlaps(these, proposals).max(1)
        by_chance[start:stop] = overlaps(these, random).max(1)
    return found, by_chance


def recall_by_class(
    objects: Objects, ours: np.ndarray, random: np.ndarray
) -> dict[str, dict[str, float]]:
    """Recall of each class.

    Args:
        objects (Objects): The objects.
        ours (np.ndarray): Best overlaps with the proposals, (G,).
        random (np.ndarray): Best overlaps with random boxes, (G,).

    Returns:
        dict: By name, the class of the most objects first: ``objects``,
        ``recall_50``, ``recall_70``, ``random_50``, ``random_70`` and ``abo``.
        Objects whose class the file does not say are under ``no class``.
    """
    known = [*objects.classes, 'no class']  # which -1 means
    # Two classes may have one name.
    labels = np.array([known.index(each) for each in known])[objects.labels]
    order = np.argsort(labels, kind='stable')
    ends = np.flatnonzero(np.diff(labels[order])) + 1
    groups = [
        (known[labels[each[0]]], each) for each in np.split(order, ends) if len(each)
    ]
    figures = {}
    for name, these in sorted(groups, key=lambda each: (-len(each[1]), each[0])):
        figures[name] = dict(
            objects=len(these),
            abo=float(ours[these].mean()),
            **{
                f'{key}_{100 * threshold:.0f}': float((best[these] >= threshold).mean())
                for key, best in (('recall', ours), ('random', random))
                for threshold in THRESHOLDS
            },
        )
    return figures


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
    figures: dict[str, dict[str, float | None]] = {}
    for name, (low, high) in OBJECT_SIZES.items():
        these = best[(areas >= low) & (areas < high)]
        number = len(these)
        figures[name] = dict(objects=number)
        for threshold in THRESHOLDS:
            figures[name][f'recall_{100 * threshold:.0f}'] = (
                float(np.mean(these >= threshold)) if number else None
            )
        figures[name]['abo'] = float(np.mean(these)) if number else None
    return figures
