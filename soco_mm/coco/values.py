"""Numbers, flags and ids as tools write them."""

import math
from collections.abc import Hashable, Iterable
from typing import Any

FALSE = ('', '0', 'false', 'no', 'off', 'none', 'null', 'n', 'f')
MISSING = ('', 'none', 'null', 'nan')
TRUE = ('1', 'true', 'yes', 'on', 'y', 't')


def to_number(value: Any) -> float:
    """A finite number, which may be written as text.

    Raises:
        ValueError: If it is not one.
    """
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            pass
    if type(value) in (int, float):
        try:
            if math.isfinite(float(value)):
                return value
        except OverflowError:  # an integer of hundreds of digits
            pass
    raise ValueError(f'{value!r:.40} is not a finite number')


def is_missing(value: Any) -> bool:
    """Whether a value says nothing: null, NaN, or text that means so."""
    if isinstance(value, str):
        return value.strip().lower() in MISSING
    return value is None or value != value


def to_name(value: Any) -> str:
    """The name of a category, which may be a number.

    Raises:
        ValueError: If it is not one.
    """
    if type(value) not in (str, int, float) or not str(value).strip():
        raise ValueError(f'name {value!r:.40} is not text')
    return str(value)


def to_flag(value: Any, key: str = '') -> bool:
    """Whether a flag is set: "0", "false", "" and null are not.

    Raises:
        ValueError: If it is neither true nor false.
    """
    if is_missing(value):
        return False
    if isinstance(value, str):
        text = value.strip().lower()
        if text in FALSE or text in TRUE:
            return text in TRUE
    try:
        return bool(to_number(value) if value not in (True, False) else value)
    except ValueError as error:
        raise ValueError(f'{key} {error}'.strip()) from None


def to_side(value: Any, key: str = '') -> int | None:
    """Width or height of an image in pixels; 0, null and less are unknown.

    Raises:
        ValueError: If it is not a whole number.
    """
    if is_missing(value):
        return None
    try:
        number = to_number(value)
    except ValueError as error:
        raise ValueError(f'{key} {error}'.strip()) from None
    if number <= 0:
        return None
    if number != int(number):
        raise ValueError(f'{key} {value!r} is not a whole number of pixels'.strip())
    return int(number)


def to_box(value: Any) -> tuple[float, float, float, float]:
    """x, y, width and height of a box in pixels.

    Raises:
        ValueError: If it is not four finite numbers.
    """
    try:
        x, y, width, height = map(to_number, list(value))
        if isinstance(value, str):
            raise TypeError
    except (TypeError, ValueError):
        raise ValueError(
            f'bbox {value!r:.80} is not four finite numbers x, y, w, h'
        ) from None
    return x, y, width, height


def turn_box(
    box: tuple[float, float, float, float], degrees: float
) -> tuple[float, float, float, float]:
    """The upright box around one that is turned about its centre.

    Args:
        box (tuple): x, y, width and height.
        degrees (float): The angle; clockwise and counter-clockwise are alike.

    Returns:
        tuple: x, y, width and height.

    Example:
        >>> from soco_mm.coco.values import turn_box
        >>> turn_box((30.0, 50.0, 100.0, 20.0), 90.0)
        (70.0, 10.0, 20.0, 100.0)
    """
    x, y, width, height = box
    angle = math.radians(degrees)
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    across = round(width * cos + height * sin, 6)
    down = round(width * sin + height * cos, 6)
    return x + (width - across) / 2, y + (height - down) / 2, across, down


class Ids:
    """Finds entries by their id, also where 7 is written as "7".

    Args:
        ids (Iterable[Hashable]): The id of each entry, in their order; the
            first counts where one is repeated.
    """

    def __init__(self, ids: Iterable[Hashable]) -> None:
        self.exact: dict[Hashable, int] = {}
        self.texts: dict[str, int | None] = {}
        for index, each in enumerate(ids):
            self.exact.setdefault(each, index)
            text = id_text(each)
            # None where the same text stands for several.
            known = self.texts.setdefault(text, index)
            if known != index and self.exact[each] != known:
                self.texts[text] = None

    def find(self, value: Hashable) -> int | None:
        """Index of the entry of an id, None if there is none.

        Raises:
            TypeError: If it cannot be an id, as a list.
        """
        index = self.exact.get(value)
        return self.texts.get(id_text(value)) if index is None else index


def id_text(value: Any) -> str:
    """An id as text: 7, 7.0 and " 7" are the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
