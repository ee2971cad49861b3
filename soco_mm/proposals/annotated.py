"""Shapes of annotated objects, without a store of proposals."""

from pathlib import Path

import numpy as np

from soco_mm import coco
from soco_mm.coco import NameFinder, read_images, read_source
from soco_mm.coco.account import CLIPPED, CROWD, IGNORED, INVISIBLE, Account, Reason
from soco_mm.coco.boxes import check_in_pixels, clip_box, reaches_out
from soco_mm.coco.structure import ImageEntry, list_of
from soco_mm.errors import UsageError
from soco_mm.utils import ImageHead, read_heads

from .listing import ImageSet

UNSIZED = Reason(
    'object on an image of unknown size', 'objects on images of unknown size'
)
OTHER_SIZE = Reason(
    'object on an image of another size than annotated',
    'objects on images of another size than annotated',
)
NEEDED = 'Give annotations with at least one box, or leave --ann out.'


def read_shapes(
    path: str | Path, images: ImageSet
) -> tuple[np.ndarray, np.ndarray, int, Account]:
    """Read annotated objects and the sizes of their images.

    As in the training of a detector, crowds, ignored objects and invisible
    boxes are left out, and the others are clipped to their images; so are those on
    images that have another size than is annotated. The images need not be among
    those given, unless their sizes are not annotated.

    Args:
        path (str | Path): COCO, YOLO or Pascal VOC annotations, see
            :func:`soco_mm.coco.read_source`; of a whole data set the part for
            training.
        images (ImageSet): Where the sizes of images are looked up.

    Returns:
        tuple: The objects, x1 y1 x2 y2 in pixels, float64, (G, 4), G >= 1;
        width and height of the image of each, (G, 2); the number of these
        images; and what was left out or clipped.

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
    sizes, others = _image_sizes(entries, images)
    known = []
    for each in objects:
        if each.image in sizes:
            known.append(each)
        else:
            account.add(OTHER_SIZE if each.image in others else UNSIZED, str(each))
    check_in_pixels(source.path, known, sizes)
    rows, owners = [], []
    for each in known:
        box = clip_box(each.box, *sizes[each.image])
        if each.crowd or each.ignore:
            account.add(CROWD if each.crowd else IGNORED, str(each))
        elif box is None:
            account.add(INVISIBLE, str(each))
        else:
            if reaches_out(each.box, *sizes[each.image]):
                account.add(CLIPPED, str(each))
            x, y, w, h = box
            rows.append((x, y, x + w, y + h))
            owners.append(each.image)
    if not rows and account.counts[UNSIZED]:
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
        account,
    )


def _image_sizes(
    entries: list[ImageEntry], images: ImageSet
) -> tuple[dict[int, tuple[int, int]], set[int]]:
    """The sizes of the images, by their places, of those that can be known.

    Returns:
        tuple: The sizes, and the places of the images that have another one than is
        annotated.
    """
    sizes = {each.number: each.size for each in entries if each.size}
    names = [each.file_name for each in entries]
    paths, _ = NameFinder(images.paths).find_all(names)
    places = {
        each.number: paths[each.file_name]
        for each in entries
        if each.file_name in paths
    }
    others = set()
    heads = read_heads(images.root, list(places.values()))
    for number, head in zip(places, heads):
        if isinstance(head, ImageHead) and sizes.setdefault(number, head.size) != (
            head.size
        ):
            others.add(number)
            del sizes[number]
    return sizes, others
