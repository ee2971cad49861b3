"""The common form into which every layout of labels is read."""

from dataclasses import dataclass, field
from pathlib import Path

from .account import Account


@dataclass(frozen=True)
class Source:
    """Annotations of any layout, as the content of a COCO json.

    Attributes:
        path (Path): The file or folder that the user named.
        root (Path, optional): The folder that the file names are relative to;
            None if the layout does not say.
        content (dict): ``images``, ``categories`` and ``annotations`` as a
            COCO json has them. The ``id`` of an object that comes from another
            layout is its place, as ``labels/a.txt:3``.
        account (Account): What the layout's reader has left out itself.
    """

    path: Path
    root: Path | None
    content: dict
    account: Account = field(default_factory=Account)
