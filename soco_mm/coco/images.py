"""The image files that annotations are of."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soco_mm.errors import SoCoError
from soco_mm.utils import ImageError, ImageHead, read_heads

from .account import BY_TAIL, TWICE, Account
from .files import AmbiguousName, NameFinder, clean_name, path_below, walk_files
from .structure import ImageEntry


@dataclass(frozen=True)
class LocatedImage:
    """An image of a file and of a folder.

    Attributes:
        path (str): Its path relative to the folder.
        size (tuple): Width and height in pixels, as training reads it.
        ambiguous (bool): Whether EXIF turns it in a way that its size cannot
            tell: upside down, mirrored, or by 90 degrees where the file does
            not note a size.
    """

    path: str
    size: tuple[int, int]
    ambiguous: bool = False


def locate_images(
    path: Path, root: Path, images: Sequence[ImageEntry], account: Account
) -> tuple[list[LocatedImage], list[int]]:
    """Find the files of all images, without decoding them.

    Args:
        path (Path): The file of the annotations, for messages.
        root (Path): The folder of the images.
        images (Sequence[ImageEntry]): The images.
        account (Account): Images that are listed twice, or found by the end
            of their name only, are counted here.

    Returns:
        tuple: The images, each once, and for each entry its index in them.

    Raises:
        SoCoError: If an image is missing, cannot be opened, or has another
            size than the file says.
    """
    bad: list[tuple[str, str]] = []
    paths = find_paths(path, root, images, account, bad)
    unique, places = list(dict.fromkeys(paths.values())), []
    index_of = {each: index for index, each in enumerate(unique)}
    heads = dict(zip(unique, read_heads(str(root), unique)))
    located: list[LocatedImage | None] = [None] * len(unique)
    for entry in images:
        name = paths.get(entry.number)
        if name is None:
            continue
        index = index_of[name]
        places.append(index)
        head = heads[name]
        if reason := explain_image(root / name, entry, head):
            bad.append(reason)
            continue
        assert isinstance(head, ImageHead)
        image = LocatedImage(name, head.size, is_ambiguous(entry, head))
        if located[index] is not None:
            account.add(TWICE, name)
        located[index] = image
    if bad:
        (text, advice), *others = bad
        more = f', and {len(others)} more such' if others else ''
        raise SoCoError(f'{path} names {text}{more}. {advice}')
    return located, places


def find_paths(
    path: Path, root: Path, images: Sequence[ImageEntry], account: Account, bad: list
) -> dict[int, str]:
    """The path of each entry in the folder, by the number of the entry.

    Those that are missing are added to ``bad``.

    Raises:
        SoCoError: If a name fits several files, or two names the same one.
    """
    paths, others = {}, []
    owners: dict[str, str] = {}
    same: dict[str, str] = {}
    for entry in images:
        below = path_below(root, entry.file_name)
        if below is not None and os.path.isfile(root / below):
            # The same file, however it is named.
            real = os.path.realpath(root / below)
            paths[entry.number] = same.setdefault(real, below)
            owners.setdefault(real, entry.file_name)
        else:
            others.append(entry)
    finder = NameFinder(walk_files(str(root))) if others else None
    for entry in others:
        name = entry.file_name
        try:
            found = finder.find(name)
        except AmbiguousName as error:
            raise SoCoError(
                f'{path} names {name}, which could be {error} in {root}. '
                'Give the folder that its file names are relative to.'
            ) from None
        if found is None:
            reason = f'{root / name}, which is missing'
            if path_below(root, name) is None:
                reason = f'{name}, which is not below {root}'
            bad.append(
                (
                    reason,
                    'Give the folder that its file names are relative '
                    'to, or take the images out of the file.',
                )
            )
            continue
        account.add(BY_TAIL, f'{name} is {found}')
        # Not two files with the same name in folders that do not exist.
        real = os.path.realpath(root / found)
        other = owners.setdefault(real, name)
        if clean_name(other) != clean_name(name):
            raise SoCoError(
                f'{path} names {other} and {name}, which could both be '
                f'{found} in {root}. Give the folder that its file names are '
                'relative to.'
            )
        paths[entry.number] = same.setdefault(real, found)
    return dict(sorted(paths.items()))


def explain_image(path: Path, entry: ImageEntry, head) -> tuple | None:
    """Why an image does not fit its annotations, and what to do; or None."""
    fix = 'Fix the images or take them out of the file.'
    if isinstance(head, ImageError):
        return f'{path}, which {head}', fix
    if not head.opencv:
        return (
            f'{path}, which OpenCV cannot read, with which detectors are trained',
            'Convert it to PNG or JPEG.',
        )
    width, height = head.size
    size = entry.width or width, entry.height or height
    if size == head.size:
        return None
    text = f'{path} with {size[0]}x{size[1]} pixels, but '
    if size[::-1] == head.size and head.orientation > 4:
        # MMCV turns the pixels, and the boxes would not be turned with them.
        return (
            f'{text}a camera noted (EXIF) that it is to be turned to {width}x{height}',
            'Remove the orientation from the image file, or annotate the turned photo.',
        )
    if size[::-1] == head.size:
        return (
            f'{text}it has {width}x{height}, as training reads it',
            'If another tool shows it turned (by XMP), turn the pixels, '
            'or annotate the photo as it is.',
        )
    return f'{text}it has {width}x{height}', fix


def is_ambiguous(entry: ImageEntry, head: ImageHead) -> bool:
    """Whether boxes may be of the photo before EXIF turns it."""
    if head.orientation == 1:
        return False
    width, height = head.size
    told = head.orientation > 4 and width != height and entry.size is not None
    return not told
