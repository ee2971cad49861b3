import os
import posixpath
from collections import defaultdict
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
    names_of, images_of = defaultdict(list), defaultdict(list)
    for name in names:
        names_of[posixpath.basename(name)].append(name)
    for path in listed:
        stem = posixpath.splitext(posixpath.basename(path))[0]
        if stem in names_of:
            images_of[stem].append(path)
    if not images_of:
        raise UsageError(
            f'No image in {root} has boxes in {source}, which has for example '
            f'{next(iter(names))}; the folder has {listed[0]}. Give the '
            'folder that holds the images of these boxes.'
        )
    paths = {}
    for stem, images in images_of.items():
        paths.update(_match_folders(names_of[stem], images, source, root))
    return paths


def _match_folders(names, images, source, root) -> dict[str, str]:
    """The names of images that differ only in folder and suffix, by their paths.

    Raises:
        UsageError: If their folders do not tell which is which.
    """
    if len(names) == len(images) == 1:
        return {images[0]: names[0]}
    fitting = {
        path: [name for name in names if _end_alike(name, path)] for path in images
    }
    found = {path: fits[0] for path, fits in fitting.items() if len(fits) == 1}
    several = any(len(fits) > 1 for fits in fitting.values())
    if several or not found or len(set(found.values())) < len(found):
        first, *others = names if len(names) > 1 else images
        what = (
            f'{first} and {others[0]} in {source} are of images of one name, and '
            f'either could be of {images[0]} in {root}. Give the folder with the boxes '
            'of these images.'
            if len(names) > 1
            else f'{first} and {others[0]} in {root} differ only in folder and suffix, '
            f'so the boxes of {names[0]} in {source} could belong to either. Give a '
            'folder without one of them.'
        )
        raise UsageError(what)
    return found


def _end_alike(name: str, path: str) -> bool:
    """Whether the folders of one are the last ones of the other."""
    pairs = zip(reversed(name.split('/')[:-1]), reversed(path.split('/')[:-1]))
    alike = [one == other for one, other in pairs]
    return all(alike) and (bool(alike) or '/' not in name + path)


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
