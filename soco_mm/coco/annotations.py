"""Annotations with which a detector is trained and evaluated."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from soco_mm.errors import SoCoError, UsageError, did_you_mean
from soco_mm.utils import atomic_stream

from .account import (
    APART,
    CLIPPED,
    CROWD,
    EMPTIED,
    IGNORED,
    INVISIBLE,
    OTHER_CLASS,
    PARTLY,
    REPEATED,
    SAME_BOX,
    TURNED,
    UNREADABLE,
    Account,
)
from .boxes import Box, check_in_pixels, clip_box, reaches_out
from .classes import choose_classes, no_category
from .images import LocatedImage, locate_images
from .masks import box_polygon, lies_outside, read_mask
from .sources import read_source
from .structure import ObjectEntry, list_of, read_categories, read_images, read_objects

# Share of the masks that may lie outside of their boxes, as single mistakes.
MAX_APART = 0.05


@dataclass
class Annotations:
    """The objects of a data set, as a detector is trained with them.

    Attributes:
        path (Path): The file, or the completed copy of it.
        root (Path): The folder of the images.
        classes (tuple[str]): Names of the classes, in the order in which they
            are numbered from 0.
        images (dict[int, str]): File names relative to the folder by id;
            images are numbered from 1.
        boxes (dict[int, list]): For each image with objects, (x, y, w, h,
            index of the class) in pixels, clipped to the image; without
            crowds, ignored objects and invisible ones.
        masks (bool): Whether the objects have masks.
        content (dict): A COCO json of all this, complete: what MMDetection
            reads of it is what it evaluates, and pycocotools takes it.
        absent (tuple[str]): Classes that are not categories of the file.
        categories (tuple[str]): Names of all categories of the file, sorted.
        turned (list[int]): Images that the EXIF orientation turns, whose
            sizes cannot tell if the boxes are turned with them.
        account (Account): What was left out or changed.
    """

    path: Path
    root: Path
    classes: tuple[str, ...]
    images: dict[int, str]
    boxes: dict[int, list[tuple]]
    masks: bool
    content: dict
    absent: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    turned: list[int] = field(default_factory=list)
    account: Account = field(default_factory=Account)

    @property
    def num_boxes(self) -> int:
        """Number of objects."""
        return sum(map(len, self.boxes.values()))


def read_annotations(
    path: str | Path,
    root: str | Path | None = None,
    classes: Sequence[str] | None = None,
    subset: bool = False,
    split: str | None = 'train',
    masks: bool = True,
) -> Annotations:
    """Read annotations, and check that a detector can be trained with them.

    What tools often leave out is filled in: sizes of images, and ids, areas
    and ``iscrowd`` of objects, and the masks of crowds. Boxes are clipped to
    their images, ignored objects become crowds, which neither help nor harm
    in COCO's evaluation, and what cannot be seen is left out, so that a
    detector that finds every object gets an AP of 1.

    Args:
        path (str | Path): COCO, YOLO or Pascal VOC annotations, see
            :func:`read_source`.
        root (str | Path, optional): The folder of the images. Defaults to
            None, where the layout says.
        classes (Sequence[str], optional): Names of the classes. Defaults to
            None, those of the file in its order.
        subset (bool): Leave out objects of other classes, which are otherwise
            refused. Defaults to False.
        split (str, optional): Which images, where ``path`` is of a whole data
            set. Defaults to train.
        masks (bool): Read masks too, which a detector of boxes does not need.
            Defaults to True.

    Returns:
        Annotations: The objects.

    Raises:
        UsageError: If there are no annotations, they are malformed, or there
            is no such folder.
        SoCoError: If it has no object, two categories of one name, or objects
            of which only some have masks; boxes that are not in pixels; or
            an image is missing, cannot be opened, or has another size than
            the file says.
    """
    if root is not None and not Path(root).is_dir():
        raise UsageError(
            f'There is no folder {root}. Give the folder of the images of {path}.'
        )
    source = read_source(path, root, split)
    path, root, content = source.path, source.root, source.content
    if root is None:
        raise UsageError(
            f'{path} does not say where its images are. Give their folder, with '
            '--images (of --val: --val-images).'
        )
    images = read_images(content, path)
    for entry in images:
        if entry.partly:
            source.account.add(PARTLY, entry.file_name)
    categories = read_categories(content, path)
    entries = read_objects(
        list_of(content, 'annotations', path), path, images, categories
    )
    account = source.account
    names, labels = choose_classes(path, categories, entries, classes, account)
    located, places = locate_images(path, root, images, account)
    check_in_pixels(path, entries, [located[place].size for place in places])
    fitted = _fit_objects(
        path, entries, located, places, names, labels, categories, subset, account
    )
    masks = masks and _fit_masks(path, fitted, located, account)
    boxes = defaultdict(list)
    for each in fitted:
        if not each.crowd:
            boxes[each.place + 1].append((*each.box, each.label))
    for place in sorted({places[each.image] for each in entries}):
        if place + 1 not in boxes:
            account.add(EMPTIED, located[place].path)
    known = {each.name for each in categories}
    absent = tuple(each for each in names if each not in known)
    if not boxes:
        if subset and len(absent) == len(names):
            raise UsageError(no_category(path, absent[0], known))
        reason = account.summary()
        raise SoCoError(
            f'{path} has no object to train with on any of its '
            f'{len(located)} images'
            f'{": it has " * bool(reason)}{reason}.'
        )
    with_objects = {each.place for each in fitted}
    return Annotations(
        path,
        root,
        names,
        {index: each.path for index, each in enumerate(located, 1)},
        dict(sorted(boxes.items())),
        masks,
        _content(located, fitted, names),
        absent=absent,
        categories=tuple(sorted(known)),
        turned=[
            index
            for index, each in enumerate(located, 1)
            if each.ambiguous and index - 1 in with_objects
        ],
        account=account,
    )


@dataclass
class _Object:
    """An object that is written into the completed copy."""

    entry: ObjectEntry
    place: int  # index of its image
    label: int
    box: Box
    crowd: bool
    mask: list | dict | None = None

    def name(self, located: Sequence[LocatedImage]) -> str:
        return f'{self.entry} on {located[self.place].path}'


def _fit_objects(
    path: Path,
    entries: Sequence[ObjectEntry],
    located: Sequence[LocatedImage],
    places: Sequence[int],
    names: Sequence[str],
    labels: Sequence[int | None],
    categories: Sequence,
    subset: bool,
    account: Account,
) -> list[_Object]:
    """The objects that can be seen, clipped; the others are counted."""
    fitted, named = [], set()
    seen: dict = {}
    counted = set()  # in the evaluation
    for entry in entries:
        place, label = places[entry.image], labels[entry.category]
        image = located[place]
        name = f'{entry} on {image.path}'
        if label is None:
            other = categories[entry.category].name
            if not subset:
                raise SoCoError(
                    f'{path} has objects of the class {other} ({entry}), '
                    f'which is not among the classes {", ".join(names)}.'
                    f'{did_you_mean(other, names)} Choose the classes of both '
                    'files with --classes.'
                )
            account.add(OTHER_CLASS, f'{other}, {name}')
            continue
        # Twice under two entries of one image, or with one id; else they are
        # the user's.
        key = place, label, entry.box, entry.crowd
        id_ = repr(entry.id)  # which may be a dict, as MongoDB writes it
        again = entry.id is not None and (key, id_) in named
        named.add((key, id_))
        if again or seen.setdefault(key, entry.image) != entry.image:
            account.add(REPEATED, name)
            continue
        box = clip_box(entry.box, *image.size)
        if box is None:
            account.add(INVISIBLE, name)
            continue
        if not (entry.crowd or entry.ignore):
            if key in counted:
                account.add(SAME_BOX, name)
            counted.add(key)
        if reaches_out(entry.box, *image.size):
            account.add(CLIPPED, name)
        if entry.turned:
            account.add(TURNED, name)
        if entry.crowd:
            account.add(CROWD, name)
        elif entry.ignore:
            account.add(IGNORED, name)
        fitted.append(_Object(entry, place, label, box, entry.crowd or entry.ignore))
    return fitted


def _fit_masks(
    path: Path,
    fitted: Sequence[_Object],
    located: Sequence[LocatedImage],
    account: Account,
) -> bool:
    """Read the masks of all objects; returns whether they are trained with.

    Raises:
        SoCoError: If only some objects have masks, or none can be read.
    """
    missing, read, unreadable = [], 0, []
    for each in fitted:
        width, height = located[each.place].size
        try:
            each.mask = read_mask(each.entry.segmentation, height, width)
        except ValueError as error:
            if not each.crowd:
                unreadable.append((each, error))
            continue
        if not each.crowd:
            read += each.mask is not None
            if each.mask is None:
                missing.append(each)
    if not read and not unreadable:
        return False
    number = len(missing) + read + len(unreadable)
    if not read:
        each, reason = unreadable[0]
        raise SoCoError(
            f'{path}: none of the {len(unreadable)} segmentations can be '
            f'read: of {each.name(located)}, {reason}. Give polygons of three '
            "or more points, or RLE of the image's size; or remove "
            '"segmentation" from all objects to train only with boxes.'
        )
    if missing:
        raise SoCoError(
            f'In {path} {len(missing)} of {number} objects have no '
            f'segmentation, the first {missing[0].name(located)}. Give all '
            'of them one, polygons or RLE, or none.'
        )
    _check_places(path, fitted, located, account)
    for each, reason in unreadable:
        account.add(UNREADABLE, f'{each.name(located)}: {reason}')
        each.crowd = True
    for each in fitted:
        if each.mask is None:  # of crowds
            each.mask = box_polygon(each.box)
    return True


def _check_places(
    path: Path,
    fitted: Sequence[_Object],
    located: Sequence[LocatedImage],
    account: Account,
) -> None:
    """Count masks that lie outside of their boxes.

    Raises:
        SoCoError: If many do, as where only the boxes were scaled.
    """
    masks = [each for each in fitted if each.mask is not None and not each.crowd]
    apart = [each for each in masks if lies_outside(each.mask, each.box)]
    if len(apart) > max(1, MAX_APART * len(masks)):
        raise SoCoError(
            f'{path}: {len(apart)} of {len(masks)} masks lie outside of their boxes, '
            f'the first of {apart[0].name(located)}. Correct them, or remove '
            '"segmentation" from all objects to train only with boxes.'
        )
    for each in apart:
        account.add(APART, each.name(located))


def _content(
    located: Sequence[LocatedImage], fitted: Sequence[_Object], names: Sequence[str]
) -> dict:
    """The completed copy; all ids are numbers from 1.

    To pycocotools an object of the id 0 is one that is never found.
    """
    annotations = []
    for number, each in enumerate(fitted, 1):
        x, y, w, h = each.box
        area = each.entry.area
        written = dict(
            id=number,
            image_id=each.place + 1,
            category_id=each.label + 1,
            bbox=[x, y, w, h],
            area=w * h if area is None else min(area, w * h),
            iscrowd=int(each.crowd),
        )
        if each.mask is not None:
            written['segmentation'] = each.mask
        annotations.append(written)
    return dict(
        images=[
            dict(
                id=number, file_name=each.path, width=each.size[0], height=each.size[1]
            )
            for number, each in enumerate(located, 1)
        ],
        categories=[dict(id=number, name=name) for number, name in enumerate(names, 1)],
        annotations=annotations,
    )


def write_annotations(annotations: Annotations, empty: bool = True) -> None:
    """Write annotations, with all that was filled in, to their path.

    Args:
        annotations (Annotations): The annotations.
        empty (bool): Write images without objects too, on which a detector is
            evaluated but not trained. Defaults to True.
    """
    content = annotations.content
    if not empty:
        content = {
            key: [
                each
                for each in entries
                if key == 'categories'
                or each['id' if key == 'images' else 'image_id'] in annotations.boxes
            ]
            for key, entries in content.items()
        }
    with atomic_stream(annotations.path) as stream:
        # In C, unlike json.dump.
        stream.write(json.dumps(content))
