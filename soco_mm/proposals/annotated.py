"""Shapes of annotated objects, without a store of proposals."""

from pathlib import Path

import numpy as np

from soco_mm import coco
from soco_mm.coco import NameFinder, read_images, read_source
from soco_mm.coco.account import CROWD, IGNORED, INVISIBLE
from soco_mm.coco.boxes import check_in_pixels, clip_box
from soco_mm.coco.structure import ImageEntry, list_of
from soco_mm.errors import UsageError
from soco_mm.utils import ImageHead, read_heads

from .listing import ImageSet

NEEDED = 'Give annotations with at least one box, or leave --ann out.'


def read_shapes(
    path: str | Path, images: ImageSet
) -> tuple[np.ndarray, np.ndarray, int]:
    """Read annotated objects and the sizes of their images.

    As in the training of a detector, crowds, ignored objects and invisible
    boxes are left out, and the others are clipped to their images. The images
    need not be among those given, unless their sizes are not annotated.

    Args:
        path (str | Path): COCO, YOLO or Pascal VOC annotations, see
            :func:`soco_mm.coco.read_source`; of a whole data set the part for
            training.
        images (ImageSet): Where sizes are looked up that are not annotated.

    Returns:
        tuple: The objects, x1 y1 x2 y2 in pixels, float64, (G, 4), G >= 1;
        width and height of the image of each, (G, 2); and the number of these
        images.

    Raises:
        UsageError: If the file cannot be read, or has no object that can be
            seen, on an image of known size.
        SoCoError: If the boxes are not in pixels.
    """
    source = read_source(path)
    entries = read_images(source.content, source.path)
    account = source.account
    objects = coco.read_objects(
        list_of(source.content, 'annotations', source.path),
        source.path,
        entries,
        account=account,
    )
    sizes = _image_sizes(entries, images)
    known = [each for each in objects if each.image in sizes]
    check_in_pixels(source.path, known, sizes)
    rows, owners = [], []
    for each in known:
        box = clip_box(each.box, *sizes[each.image])
        if each.crowd or each.ignore:
            account.add(CROWD if each.crowd else IGNORED, str(each))
        elif box is None:
            account.add(INVISIBLE, str(each))
        else:
            x, y, w, h = box
            rows.append((x, y, x + w, y + h))
            owners.append(each.image)
    if not rows and len(known) < len(objects):
        raise UsageError(
            f'{path} does not say how large its images are, and none of them, for '
            f'example {entries[objects[0].image].file_name}, is among the images '
            f'in {images.root}. Give "width" and "height", or the folder of these '
            'images.'
        )
    if not rows:
        reason = account.summary()
        raise UsageError(
            f'{path} has no object to fit the proposals to'
            f'{": it has " * bool(reason)}{reason}. {NEEDED}'
        )
    return (
        np.array(rows, float),
        np.array([sizes[each] for each in owners], float),
        len(set(owners)),
    )


def _image_sizes(
    entries: list[ImageEntry], images: ImageSet
) -> dict[int, tuple[int, int]]:
    """The sizes of the images, by their places, of those that can be known."""
    sizes = {each.number: each.size for each in entries if each.size}
    names = [each.file_name for each in entries]
    paths, _ = NameFinder(images.paths).find_all(names)
    places = {
        each.number: paths[each.file_name]
        for each in entries
        if each.number not in sizes and each.file_name in paths
    }
    heads = read_heads(images.root, list(places.values()))
    for number, head in zip(places, heads):
        if isinstance(head, ImageHead):
            sizes[number] = head.size
    return sizes
