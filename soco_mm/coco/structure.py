"""The entries of a COCO file, typed and checked."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from soco_mm.errors import UsageError

from .account import TURNED, UNLISTED, Account
from .files import clean_name
from .values import Ids, to_box, to_flag, to_name, to_number, to_side, turn_box

EXPECTED = (
    'Expected "images" (id, file_name), "categories" (id, name) and '
    '"annotations" (image_id, category_id, bbox of four numbers).'
)
# Keys of the images of LVIS.
PARTLY = ('neg_category_ids', 'not_exhaustive_category_ids')
# Exceptions from reading an entry with wrong types.
_WRONG = (AttributeError, KeyError, TypeError, ValueError)


@dataclass(frozen=True)
class ImageEntry:
    """One of the ``images``.

    Attributes:
        number (int): Its place in the file, from 0.
        id (Hashable): Its id; None if it has none.
        file_name (str): The name as it is in the file.
        width (int, optional): In pixels; None if it is not said.
        height (int, optional): The same.
        partly (bool): Whether only objects of some categories are annotated, which
            LVIS names.
    """

    number: int
    id: Hashable
    file_name: str
    width: int | None = None
    height: int | None = None
    partly: bool = False

    @property
    def size(self) -> tuple[int, int] | None:
        """tuple: Width and height in pixels, None if not both are said."""
        if self.width is None or self.height is None:
            return None
        return self.width, self.height


@dataclass(frozen=True)
class Category:
    """One of the ``categories``."""

    number: int
    id: Hashable
    name: str
    supercategory: str | None = None


@dataclass(frozen=True)
class ObjectEntry:
    """One of the ``annotations``.

    Attributes:
        number (int): Its place in the file, from 0.
        id (Hashable): Its id; None if it has none.
        image (int): Index of its image in the list of them.
        category (int, optional): Index of its category; None where
            categories are not read.
        box (tuple): x, y, width and height in pixels, as they are in the
            file.
        area (float, optional): In pixels; None if it is not said.
        crowd (bool): Whether it is a group of objects (``iscrowd``).
        ignore (bool): Whether it is to be ignored (``ignore``).
        score (float, optional): Of results.
        segmentation: As it is in the file.
        turned (bool): Whether the file has a rotated box, around which this one is.
    """

    number: int
    id: Hashable
    image: int
    category: int | None
    box: tuple[float, float, float, float]
    area: float | None = None
    crowd: bool = False
    ignore: bool = False
    score: float | None = None
    segmentation: Any = None
    turned: bool = False

    def __str__(self) -> str:
        known = '' if self.id is None else f' (id {self.id})'
        return f'annotation {self.number}{known}'


def list_of(content: Any, key: str, path: str | Path) -> list:
    """The entries under a key of a COCO file.

    Raises:
        UsageError: If they are missing or not a list.
    """
    if not isinstance(content, dict) or key not in content:
        raise UsageError(f'{path} is not a COCO json: it has no "{key}". {EXPECTED}')
    if not isinstance(content[key], list):
        raise UsageError(
            f'{path} is not a COCO json: the {key} are not a list. {EXPECTED}'
        )
    return content[key]


def read_images(content: Any, path: str | Path) -> list[ImageEntry]:
    """The images of a COCO file.

    LVIS has ``coco_url`` instead of ``file_name``.

    Args:
        content: What the JSON holds.
        path (str | Path): The file, for messages.

    Returns:
        list[ImageEntry]: The images.

    Raises:
        UsageError: If one of them is wrong.
    """
    found = []
    for number, each in enumerate(list_of(content, 'images', path)):
        try:
            name = each.get('file_name')
            if name is None and each.get('coco_url'):
                name = urlparse(each['coco_url']).path.lstrip('/')
            elif name is None and 'file_name' not in each:
                raise KeyError('file_name')
            if not isinstance(name, str) or not name:
                raise ValueError(f'file_name {name!r} is not text')
            if '\0' in name:
                raise ValueError(f'file_name {name!r} cannot be the name of a file')
            entry = ImageEntry(
                number,
                each.get('id'),
                name,
                to_side(each.get('width'), 'width'),
                to_side(each.get('height'), 'height'),
                any(key in each for key in PARTLY),
            )
        except _WRONG as error:
            raise wrong(path, 'image', number, each, error) from None
        found.append(entry)
    return found


def read_categories(content: Any, path: str | Path) -> list[Category]:
    """The categories of a COCO file.

    Args:
        content: What the JSON holds.
        path (str | Path): The file, for messages.

    Returns:
        list[Category]: The categories.

    Raises:
        UsageError: If one of them is wrong, or two have the same id.
    """
    found, ids = [], set()
    for number, each in enumerate(list_of(content, 'categories', path)):
        try:
            parent = each.get('supercategory')
            entry = Category(
                number,
                each['id'],
                to_name(each['name']),
                parent if isinstance(parent, str) else None,
            )
            if entry.id in ids:
                raise ValueError('two categories have the same id')
            ids.add(entry.id)
        except _WRONG as error:
            raise wrong(path, 'category', number, each, error) from None
        found.append(entry)
    return found


def read_objects(
    entries: Sequence[dict],
    path: str | Path,
    images: Sequence[ImageEntry],
    categories: Sequence[Category] | None = None,
    account: Account | None = None,
) -> list[ObjectEntry]:
    """The objects of a COCO file, or of COCO results.

    Args:
        entries (Sequence[dict]): The annotations.
        path (str | Path): Their file, for messages.
        images (Sequence[ImageEntry]): The images.
        categories (Sequence[Category], optional): The categories. Defaults to
            None, categories are not read.
        account (Account, optional): Objects of images that are not listed are
            left out and counted here. Defaults to None, they are refused.

    Returns:
        list[ObjectEntry]: The objects.

    Raises:
        UsageError: If one of them is wrong.
    """
    image_ids = index_images(images, path)
    category_ids = Ids(each.id for each in categories or ())
    found = []
    for number, each in enumerate(entries):
        try:
            image, category = image_ids.find(each['image_id']), None
            if image is None and account is None:
                raise ValueError(f'there is no image {each["image_id"]!r}')
            if categories is not None:
                category = category_ids.find(each['category_id'])
                if category is None:
                    raise ValueError(f'there is no category {each["category_id"]!r}')
            if image is None:
                account.add(UNLISTED, f'image_id {each["image_id"]!r}')
                continue
            box, rotation = to_box(each['bbox']), read_rotation(each)
            found.append(
                ObjectEntry(
                    number,
                    each.get('id'),
                    image,
                    category,
                    turn_box(box, rotation) if rotation else box,
                    read_area(each.get('area')),
                    to_flag(each.get('iscrowd'), 'iscrowd'),
                    to_flag(each.get('ignore'), 'ignore'),
                    optional_number(each.get('score'), 'score'),
                    each.get('segmentation'),
                    bool(rotation),
                )
            )
            if rotation and account is not None:
                account.add(TURNED, str(found[-1]))
        except _WRONG as error:
            raise wrong(path, 'annotation', number, each, error) from None
    return found


def index_images(images: Sequence[ImageEntry], path: str | Path) -> Ids:
    """Find images by their ids.

    Raises:
        UsageError: If two different ones have the same id.
    """
    names: dict = {}
    for each in images:
        try:
            first = names.setdefault(each.id, each.file_name)
            if clean_name(first) != clean_name(each.file_name):
                raise ValueError(
                    f'its id is that of {first} too: two images have the same id'
                )
        except _WRONG as error:
            raise wrong(path, 'image', each.number, dict(id=each.id), error) from None
    return Ids(each.id for each in images)


def read_rotation(entry: dict) -> float:
    """The angle of a box in degrees, as CVAT writes it beside the upright box.

    Raises:
        ValueError: If it is not a number.
    """
    attributes = entry.get('attributes')
    if not isinstance(attributes, dict) or entry.get('segmentation'):
        return 0.0  # a mask is not written so
    return (optional_number(attributes.get('rotation'), 'rotation') or 0.0) % 360


def read_area(value: Any) -> float | None:
    """The area of an object in pixels; None if it is not a positive one."""
    try:
        area = to_number(value)
    except ValueError:
        return None
    return area if area > 0 else None


def optional_number(value: Any, name: str) -> float | None:
    """A number that may be missing.

    Raises:
        ValueError: If it exists but is not a number.
    """
    try:
        return None if value is None else to_number(value)
    except ValueError as error:
        raise ValueError(f'{name} {error}') from None


def wrong(
    path: str | Path, what: str, number: int, entry: Any, error: Exception
) -> UsageError:
    """The one sentence on an entry that cannot be read."""
    reason = f'it has no {error}' if isinstance(error, KeyError) else error
    if not isinstance(entry, dict):
        reason = f'{entry!r:.40} is not an object with keys'
    id_ = entry.get('id') if isinstance(entry, dict) else None
    known = '' if id_ is None else f', id {id_!r}'
    return UsageError(
        f'{path} is not a COCO json: {what} {number} (from 0'
        f'{known}) is wrong ({reason}). {EXPECTED}'
    )
