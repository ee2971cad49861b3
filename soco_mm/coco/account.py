from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple


class Reason(NamedTuple):
    """Why something in a file is left out or changed.

    Attributes:
        one (str): What it is, in the singular.
        many (str): The same in the plural.
        effect (str): What becomes of it.
    """

    one: str
    many: str
    effect: str = 'left out'


CROWD = Reason('crowd', 'crowds', 'not trained with, and not counted as missed')
IGNORED = Reason(
    'ignored object', 'ignored objects', 'not trained with, and not counted as missed'
)
INVISIBLE = Reason(
    'invisible object',
    'invisible objects',
    'outside of the image or with a side of less than a pixel, left out',
)
CLIPPED = Reason(
    'box that reaches out of its image',
    'boxes that reach out of their image',
    'clipped',
)
UNREADABLE = Reason(
    'object with a mask that cannot be read',
    'objects with a mask that cannot be read',
    'ignored: not trained with, and not counted as missed',
)
TURNED = Reason('rotated box', 'rotated boxes', 'the upright box around it is taken')
OTHER_CLASS = Reason('object of another class', 'objects of other classes')
UNLISTED = Reason(
    'object of an image that is not listed', 'objects of images that are not listed'
)
REPEATED = Reason(
    'object that is listed twice', 'objects that are listed twice', 'taken once'
)
SAME_BOX = Reason(
    'object with class and box of another',
    'objects with class and box of another',
    'kept, although a detector can find only one of them',
)
APART = Reason(
    'object whose mask lies outside of its box',
    'objects whose masks lie outside of their boxes',
    'used',
)
EMPTIED = Reason(
    'image without any other object',
    'images without any other object',
    'not trained with',
)
TWICE = Reason('image that is listed twice', 'images that are listed twice', 'merged')
BY_TAIL = Reason(
    'file that is found only by the end of its name',
    'files that are found only by the end of their name',
    'used',
)
PARTLY = Reason(
    'image that is annotated for some categories only (LVIS)',
    'images that are annotated for some categories only (LVIS)',
    "used; COCO's AP counts right detections of other categories as wrong, and "
    'compares with itself only',
)
ROOT = Reason(
    'category without objects that only groups others',
    'categories without objects that only group others',
    'no class of the detector',
)


@dataclass
class Account:
    """What was left out or changed in a file: how many, and an example.

    Attributes:
        counts (Counter): How many, by :class:`Reason`.
        examples (dict): The first of each.

    Example:
        >>> from soco_mm.coco import Account
        >>> from soco_mm.coco.account import CROWD
        >>> account = Account()
        >>> account.add(CROWD, 'annotation 0 (id 7) on a.jpg')
        >>> account.lines()
        ['1 crowd: not trained with, and not counted as missed (annotation \
0 (id 7) on a.jpg)']
    """

    counts: Counter = field(default_factory=Counter)
    examples: dict[Reason, str] = field(default_factory=dict)

    def add(self, reason: Reason, example: str) -> None:
        """Count one more."""
        self.counts[reason] += 1
        self.examples.setdefault(reason, example)

    def lines(self) -> list[str]:
        """A line for each reason, in the order in which they came up."""
        return [
            f'{number} {reason.one if number == 1 else reason.many}: '
            f'{reason.effect} ({"" if number == 1 else "for example "}'
            f'{self.examples[reason]})'
            for reason, number in self.counts.items()
        ]

    def summary(self) -> str:
        """Only the numbers, such as ``3 crowds, 1 invisible object``."""
        return ', '.join(
            f'{number} {reason.one if number == 1 else reason.many}'
            for reason, number in self.counts.items()
        )
