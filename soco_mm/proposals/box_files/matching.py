import os
import posixpath
from collections.abc import Sequence
from pathlib import Path

from soco_mm.coco import AmbiguousName, NameFinder
from soco_mm.coco.files import path_below
from soco_mm.proposals.layout import encode_path
from soco_mm.utils import UsageError

from .reading import BoxFile

BY_STEM = ('released', 'masks')  # layouts that name images without folder and suffix


def match_images(
    found: BoxFile, source: str | Path, root: str, listed: Sequence[str]
) -> tuple[dict[str, str], list[str]]:
    """Find the images that the boxes of a file are of.

    Args:
        found (BoxFile): The boxes.
        source (str | Path): Their file, for messages.
        root (str): The folder of images, absolute.
        listed (Sequence[str]): Paths of the images in it, relative.

    Returns:
        tuple: The names in ``found`` by the relative paths of the images,
        sorted as a store is; and the names that fit no image, which only the
        layouts in :data:`BY_STEM` can have: others name files, which may be missing.

    Raises:
        UsageError: If no image fits, or one name fits several images.
    """
    match = _match_stems if found.format in BY_STEM else _match_paths
    paths = match(found.boxes, source, root, listed)
    matched = set(paths.values())
    unmatched = [name for name in found.boxes if name not in matched]
    return dict(sorted(paths.items(), key=_by_path)), unmatched


def _by_path(item: tuple[str, str]) -> bytes:
    return encode_path(item[0])


def _match_stems(names, source, root, listed) -> dict[str, str]:
    paths: dict[str, str] = {}
    for path in listed:
        stem = posixpath.splitext(posixpath.basename(path))[0]
        if stem not in names:
            continue
        if stem in paths:
            raise UsageError(
                f'{paths[stem]} and {path} in {root} differ only in folder '
                f'and suffix, so the boxes of {stem} in {source} could '
                'belong to either. Give a folder without one of '
                'them.'
            )
        paths[stem] = path
    if not paths:
        raise UsageError(
            f'No image in {root} has boxes in {source}, which has for example '
            f'{next(iter(names))}; the folder has {listed[0]}. Give the '
            'folder that holds the images of these boxes.'
        )
    return {path: stem for stem, path in paths.items()}


def _match_paths(names, source, root, listed) -> dict[str, str]:
    paths: dict[str, str] = {}
    known, finder = set(listed), None
    taken = known.intersection(names)
    for name in names:
        path = name
        if os.path.isabs(name):
            path = os.path.relpath(name, root).replace(os.sep, '/')
        if path not in known:
            finder = finder or NameFinder(listed)
            path = _find(finder, name, path, taken, source, root)
        if path_below(root, path) is None:
            raise UsageError(
                f'{source} names {name}, which is not below '
                f'{root}. Give a folder above it.'
            )
        try:
            encode_path(path)
        except UnicodeEncodeError:
            raise UsageError(
                f'{source} names {name!r}, which is not a valid file name.'
            ) from None
        if path in paths:
            raise UsageError(
                f'{source} names {path} twice, as {name} and as {paths[path]}.'
            )
        paths[path] = name
    if paths.keys().isdisjoint(listed):
        raise UsageError(
            f'None of the images that {source} names is in {root}: it names '
            f'for example {next(iter(names))}, the folder has {listed[0]}. '
            'Give the folder that its file names are relative to.'
        )
    return paths


def _find(
    finder: NameFinder,
    name: str,
    path: str,
    taken: set[str],
    source: str | Path,
    root: str,
) -> str:
    """The image that the end of a name fits, else the path as it is."""
    try:
        found = finder.find(name)
    except AmbiguousName as error:
        raise UsageError(
            f'{source} names {name}, which could be {error} in '
            f'{root}. Give the folder that its file names are '
            'relative to.'
        ) from None
    return path if found is None or found in taken else found
