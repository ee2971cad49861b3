"""YOLO labels as the content of a COCO json."""

import math
import os
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from soco_mm.errors import SoCoError, UsageError
from soco_mm.utils import ImageError, ImageHead, read_heads

from .account import REPEATED, Account, Reason
from .boxes import are_corners
from .data_yaml import DataYaml, ImageList, read_data_yaml, split_images
from .files import path_below, same_name, walk_files
from .source import Source
from .texts import read_texts

# Files that tools put next to the labels.
NO_LABELS = ('classes.txt', 'predefined_classes.txt', 'notes.txt')
# Tolerance of coordinates in [0, 1], as in Ultralytics.
FRACTION_TOLERANCE = 0.01
UNLABELLED = Reason(
    'image without a txt file',
    'images without a txt file',
    'taken as images without objects',
)
STRAY = Reason('txt file without an image', 'txt files without an image')
MASKS = Reason(
    'polygon', 'polygons', 'used as boxes, since other objects have only a box'
)
ABSENT = Reason(
    'part of the data set without its images',
    'parts of the data set without their images',
)
ELSEWHERE = Reason(
    'data set in another folder than its data.yaml',
    'data sets in another folder than their data.yaml',
    'used, since "path" says so',
)
KEYPOINTS = Reason('object with keypoints', 'objects with keypoints', 'used as boxes')


@dataclass(frozen=True)
class Label:
    """An object of a txt file.

    Attributes:
        line (int): Its line, from 1.
        category (int): The number of its class.
        box (tuple): Centre x, centre y, width and height, as fractions of
            the image's.
        polygon (np.ndarray, optional): Points x, y as fractions of the
            image's width and height, (P, 2).
    """

    line: int
    category: int
    box: tuple[float, float, float, float]
    polygon: np.ndarray | None = None


def read_yolo(
    path: str | Path, split: str | None = 'train', root: str | Path | None = None
) -> Source:
    """Read a data set with a ``data.yaml`` and one txt file per image.

    The labels of ``images/a.jpg`` are in ``labels/a.txt``, where the last
    folder of the name ``images`` is replaced, else next to the image. A line
    is ``class x y w h``, centre and size of a box, or ``class x1 y1 x2 y2 x3
    y3 ...``, a polygon; x and w are fractions of the width of the image as
    training reads it, y and h of its height.

    Args:
        path (str | Path): The ``data.yaml``.
        split (str, optional): Which images: train, val or test; None for all.
            Defaults to train.
        root (str | Path, optional): The folder that file names are made
            relative to. Defaults to None, the folder of the data set.

    Returns:
        Source: The content of a COCO json. Sizes of images that EXIF turns
        are left out: labels do not tell if they are turned too.

    Raises:
        UsageError: If the ``data.yaml`` or a line is wrong, with file and
            line; or images or all labels are missing.
        SoCoError: If an image cannot be opened.
    """
    data, account = read_data_yaml(path), Account()
    lists = (
        split_images(data, split, root) if split else _all_images(data, account, root)
    )
    if path_below(data.folder, data.root) is None:
        account.add(ELSEWHERE, data.root)
    images = list(dict.fromkeys(path for each in lists for path in each.images))
    base = _common_root(data, images, root)
    names = [_relative(each, base) for each in images]
    finder = LabelFinder()
    files = [finder.find(each) for each in images]
    if not any(files):
        raise UsageError(
            f'{data.path}: none of the {len(images)} images has labels; '
            f'looked for {label_path(images[0])}. Labels are txt files in '
            '"labels" beside "images", or beside the images.'
        )
    _refuse_shared(names, files)
    used = {os.path.splitext(each)[0] for each in files if each}
    for name, file in zip(names, files):
        if file is None:
            account.add(UNLABELLED, name)
    for each in lists:
        for stray in _strays(each, used):
            account.add(STRAY, _relative(stray, base))
    labels = _read_labels(data, [each for each in files if each])
    heads = _read_heads(
        data, base, [name for name, file in zip(names, files) if file and labels[file]]
    )
    entries, annotations = [], []
    for number, (name, file) in enumerate(zip(names, files), 1):
        entry = dict(id=number, file_name=name)
        entries.append(entry)
        if name not in heads:
            continue
        head = heads[name]
        if head.orientation == 1:
            entry.update(width=head.size[0], height=head.size[1])
        place = _relative(file, base)
        for label in distinct(labels[file], place, account):
            annotations.append(
                dict(
                    to_coco(label, *head.size),
                    id=f'{place}:{label.line}',
                    image_id=number,
                )
            )
    _unify(annotations, account)
    if data.keypoints:
        for annotation in annotations:
            account.add(KEYPOINTS, annotation['id'])
    content = dict(
        images=entries,
        categories=[dict(id=number, name=name) for number, name in data.names.items()],
        annotations=annotations,
    )
    return Source(Path(path), Path(base), content, account)


def distinct(labels: Iterable[Label], place: str, account: Account) -> Iterator[Label]:
    """Labels of a file, each once, as Ultralytics takes them; others are counted."""
    seen = set()
    for label in labels:
        points = None if label.polygon is None else label.polygon.tobytes()
        key = label.category, label.box, points
        if key in seen:
            account.add(REPEATED, f'{place}:{label.line}')
        else:
            seen.add(key)
            yield label


def _all_images(
    data: DataYaml, account: Account, root: str | Path | None
) -> list[ImageList]:
    """The images of all splits; splits whose images are missing are counted.

    Raises:
        UsageError: If all are missing.
    """
    found, missing = [], []
    for split in data.splits:
        try:
            found += split_images(data, split, root)
        except UsageError as error:
            missing.append(error)
    if not found:
        raise missing[0]
    for absent in missing:
        account.add(ABSENT, str(absent))
    return found


def label_path(image: str) -> str:
    """The txt file of an image: the last folder ``images`` is ``labels``.

    Example:
        >>> from soco_mm.coco.yolo import label_path
        >>> label_path('/images/cars/images/train/a.b.jpg')
        '/images/cars/labels/train/a.b.txt'
    """
    before, found, after = image.rpartition(f'{os.sep}images{os.sep}')
    if found:
        image = os.path.join(before, 'labels', after)
    return os.path.splitext(image)[0] + '.txt'


class LabelFinder:
    """Finds the txt files of images.

    Where none has exactly the name, letter case and the two ways to write accents
    are ignored: files change them on their way between systems.
    """

    def __init__(self) -> None:
        self.folders: dict[str, dict[str, str]] = {}

    def find(self, image: str) -> str | None:
        """The txt file of an image, None if there is none."""
        places = (label_path(image), os.path.splitext(image)[0] + '.txt')
        for path in places:
            if os.path.isfile(path):
                return path
        for path in places:
            folder, name = os.path.split(path)
            if found := self._names_in(folder).get(same_name(name)):
                return os.path.join(folder, found)
        return None

    def _names_in(self, folder: str) -> dict[str, str]:
        """The txt files of a folder, by how they are compared."""
        if folder not in self.folders:
            names = os.listdir(folder) if os.path.isdir(folder) else ()
            self.folders[folder] = {
                same_name(each): each for each in names if is_text(each)
            }
        return self.folders[folder]


def is_text(name: str) -> bool:
    """Whether a file is a txt file, by its name."""
    return name.lower().endswith('.txt')


def _refuse_shared(names: list[str], files: list[str | None]) -> None:
    """Refuse a txt file of two images, such as a.jpg and a.png."""
    owners: dict[str, str] = {}
    for name, file in zip(names, files):
        if file is not None and owners.setdefault(file, name) != name:
            raise UsageError(
                f'{file} could be of {owners[file]} and of {name}. Rename one of them, '
                'or move it out of the data set.'
            )


def _strays(images: ImageList, used: set[str]) -> list[str]:
    """The txt files in the folders of the labels that belong to no image.

    Args:
        images (ImageList): The images.
        used (set[str]): The txt files that do, without suffix.
    """
    if images.folder is None:
        return []  # a list may name only a part of a folder
    folders = {
        images.folder,
        os.path.dirname(label_path(os.path.join(images.folder, 'a.jpg'))),
    }
    known = used | {os.path.splitext(each)[0] for each in images.images}
    known |= {os.path.splitext(label_path(each))[0] for each in images.images}
    found = (
        os.path.join(folder, each)
        for folder in sorted(folders)
        for each in sorted(walk_files(folder))
        if is_text(each)
    )
    return [
        each
        for each in found
        if os.path.splitext(each)[0] not in known
        and not _is_other(os.path.basename(each))
    ]


def _is_other(name: str) -> bool:
    """Whether the name of a txt file says that it holds no labels."""
    return name in NO_LABELS or name.lower().startswith('readme')


def _common_root(data: DataYaml, images: list[str], root: str | Path | None) -> str:
    """The folder that all images are in or below."""
    if root is None:
        return os.path.commonpath([data.root, *map(os.path.dirname, images)])
    base = os.path.abspath(root)
    for each in images:
        if path_below(base, each) is None:
            raise UsageError(
                f'{data.path} names {each}, which is not below {root}. Leave '
                'the folder of the images out: it is in the file.'
            )
    return base


def _relative(path: str, base: str) -> str:
    return os.path.relpath(path, base).replace(os.sep, '/')


def _read_labels(data: DataYaml, files: list[str]) -> dict[str, list[Label]]:
    """The objects of each txt file.

    Raises:
        UsageError: If a line is wrong.
    """
    labels: dict[str, list[Label]] = {}
    wrong = []
    for file, text in zip(files, read_texts(files)):
        found = labels[file] = []
        for number, line in enumerate(text.splitlines(), 1):
            fields = line.split()
            if not fields:
                continue
            try:
                found.append(parse_label(fields, number, data.names, data.keypoints))
            except ValueError as error:
                wrong.append(f'{file}:{number}: {error}')
    if wrong:
        more = len(wrong) - 1
        raise UsageError(wrong[0] + f' {more} more lines are wrong.' * bool(more))
    lines = [(file, each) for file, found in labels.items() for each in found]
    _refuse_corners([each for each in lines if each[1].polygon is None])
    _refuse_keypoints(lines)
    return labels


def _refuse_corners(boxes: list[tuple[str, Label]]) -> None:
    """Refuse boxes, with their files, whose four values are two corners.

    Raises:
        UsageError: If nearly all can be corners, and many reach out of their image as
            centre and size.
    """
    values = np.array([each.box for _, each in boxes]).reshape(-1, 4)
    outside = np.flatnonzero(~_inside(*_ends_of(values)))
    corners = int((values[:, 2:] > values[:, :2]).all(1).sum())
    if are_corners(len(boxes), corners, len(outside)):
        file, label = boxes[outside[0]]
        raise UsageError(
            f'{file}:{label.line}: this box and {len(outside) - 1} more of '
            f'{len(boxes)} reach out of their image, and nearly all can be two corners '
            'x1 y1 x2 y2. Give class x y w h, centre and size of the box.'
        )


def _refuse_keypoints(lines: list[tuple[str, Label]]) -> None:
    """Refuse boxes with keypoints, which would be read as polygons.

    Args:
        lines (list): All objects with their files.

    Raises:
        UsageError: If all lines have as many values, and all but the first four are
            points in the box that those make.
    """
    if len(lines) < 2 or len({np.size(each.polygon) for _, each in lines}) > 1:
        return
    file, label = lines[0]
    if label.polygon is None:
        return
    values = np.array([np.ravel(each.polygon) for _, each in lines])
    (low, high), rest = _ends_of(values[:, :4]), values[:, 4:]
    if not _inside(low, high).all():
        return
    # With x y, or x y and whether it is seen.
    for size in (2, 3):
        if rest.shape[1] % size:
            continue
        points = rest.reshape(len(lines), -1, size)[..., :2]
        near = (points >= low[:, None] - FRACTION_TOLERANCE) & (
            points <= high[:, None] + FRACTION_TOLERANCE
        )
        unseen = (points == 0).all(-1)
        if np.all(near.all(-1) | unseen) and not unseen.all():
            raise UsageError(
                f'{file}:{label.line}: class, box and keypoints? In all {len(lines)} '
                'lines the values behind the first four are points in the box of '
                f'those. Add kpt_shape: [{rest.shape[1] // size}, {size}] to data.yaml.'
            )


def _ends_of(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The corners (N, 2) of boxes of centre and size, (N, 4)."""
    return boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2


def _inside(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Which boxes with the corners (N, 2) do not reach out of their image, (N,)."""
    return ((low >= -FRACTION_TOLERANCE) & (high <= 1 + FRACTION_TOLERANCE)).all(1)


def parse_label(
    fields: list[str], line: int, classes: Container[int], keypoints: int = 0
) -> Label:
    """Read an object.

    Args:
        fields (list[str]): The parts of its line.
        line (int): The number of the line.
        classes (Container[int]): Numbers of the classes.
        keypoints (int): How many numbers follow the box. Defaults to 0.

    Returns:
        Label: The object.

    Raises:
        ValueError: If the line is wrong; the text says why and what to do.

    Example:
        >>> from soco_mm.coco.yolo import parse_label
        >>> parse_label('0 .5 .5 .2 .1'.split(), 1, {0}).box
        (0.5, 0.5, 0.2, 0.1)
        >>> parse_label('0 .1 .1 .3 .1 .3 .5'.split(), 1, {0}).polygon.shape
        (3, 2)
    """
    category, *values = _numbers(fields)
    if category not in classes:
        raise ValueError(f'there is no class {fields[0]} among the names in data.yaml.')
    if keypoints:
        if len(values) != 4 + keypoints:
            raise ValueError(
                f'{len(fields)} values, but a class, a box and {keypoints} of '
                f'keypoints (kpt_shape) make {5 + keypoints}.'
            )
        values = values[:4]
    if len(values) == 5:
        raise ValueError(
            '6 values: a prediction with its confidence? Save '
            'labels without it: class x y w h.'
        )
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise ValueError(
            f'{len(fields)} value{"s" * (len(fields) > 1)}. '
            'Expected class x y w h, or class x1 y1 x2 y2 x3 y3 '
            '... of a polygon.'
        )
    for value in (max(values), min(values)):
        if not -FRACTION_TOLERANCE <= value <= 1 + FRACTION_TOLERANCE:
            text = fields[1 + values.index(value)]
            hint = ', not pixels' if value > 1 else ''
            raise ValueError(
                f'{text} is not between 0 and 1. Values are '
                'fractions of the width and height of the image'
                f'{hint}.'
            )
    if len(values) == 4:
        x, y, width, height = values
        return Label(line, int(category), (x, y, width, height))
    points = np.array(values).reshape(-1, 2)
    low, high = points.min(0), points.max(0)
    box = (*((low + high) / 2).tolist(), *(high - low).tolist())
    return Label(line, int(category), box, points)


def _numbers(fields: list[str]) -> list[float]:
    """Finite numbers."""
    values = []
    for each in fields:
        try:
            values.append(float(each))
        except ValueError:
            raise ValueError(
                f'{each!r} is not a number. Values are separated by spaces.'
            ) from None
        if not math.isfinite(values[-1]):
            raise ValueError(f'{each} is not a finite number.')
    return values


def _read_heads(data: DataYaml, base: str, names: list[str]) -> dict[str, ImageHead]:
    """Size and orientation of the images, by name.

    Raises:
        SoCoError: If one cannot be opened.
    """
    heads = dict(zip(names, read_heads(base, names)))
    bad = [(name, head) for name, head in heads.items() if isinstance(head, ImageError)]
    if bad:
        (name, reason), *others = bad
        more = f', and {len(others)} more such' if others else ''
        raise SoCoError(
            f'{data.path} names {os.path.join(base, name)}, which '
            f'{reason}{more}. Fix the images or take them out.'
        )
    return cast(dict[str, ImageHead], heads)


def to_coco(label: Label, width: int, height: int) -> dict:
    """An object in pixels, as COCO has it.

    Args:
        label (Label): The object.
        width (int): Width of its image in pixels.
        height (int): Height of its image in pixels.

    Returns:
        dict: ``category_id``, ``bbox`` and, of a polygon, ``segmentation``
        and ``area``.
    """
    x, y, w, h = label.box
    found = dict(
        category_id=label.category,
        bbox=[(x - w / 2) * width, (y - h / 2) * height, w * width, h * height],
    )
    if label.polygon is not None:
        points = label.polygon * (width, height)
        xs, ys = (points - points[-1]).T
        twice = xs[:-1] @ ys[1:] - ys[:-1] @ xs[1:]
        found.update(segmentation=[points.ravel().tolist()], area=abs(twice.item()) / 2)
    return found


def _unify(annotations: list[dict], account: Account) -> None:
    """Use polygons as boxes if other objects have none; in place."""
    if all('segmentation' in each for each in annotations):
        return
    for each in annotations:
        if each.pop('segmentation', None):
            del each['area']
            account.add(MASKS, each['id'])
