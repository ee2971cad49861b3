"""Find images whose paths were written on another machine."""

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterable


class AmbiguousName(ValueError):
    """A name that fits several files; the text names two of them."""


def clean_name(name: str) -> str:
    """A file name with ``/`` between its parts and without a drive.

    Example:
        >>> from soco_mm.coco.files import clean_name
        >>> clean_name('C:\\\\data\\\\.\\\\images\\\\1.png')
        '/data/images/1.png'
    """
    name = re.sub(r'^[A-Za-z]:(?=[\\/])', '', name)
    return posixpath.normpath(name.replace('\\', '/'))


def path_below(root: str | os.PathLike, name: str) -> str | None:
    """The path of a file relative to a folder; None if it is not below it.

    Only names count: a link in the folder may lead anywhere, since a file of
    annotations cannot make one.

    Args:
        root (str | Path): The folder.
        name (str): The file, relative to the folder or absolute.

    Example:
        >>> from soco_mm.coco.files import path_below
        >>> path_below('/data', 'a/../b.png'), path_below('/data', '/data/b.png')
        ('b.png', 'b.png')
        >>> path_below('/data', '../b.png'), path_below('/data', '/database/b.png')
        (None, None)
    """
    path = os.path.normpath(name)
    if os.path.isabs(path) or _leaves(path):  # and may still come back
        path = os.path.relpath(os.path.join(root, path), root)
        if _leaves(path):
            return None
    return path.replace(os.sep, '/')


def _leaves(path: str) -> bool:
    """Whether a normal relative path begins with ``..``."""
    return path.partition(os.sep)[0] == os.pardir


class NameFinder:
    """Finds the file that a name means, if needed by the end of the name.

    A file is first looked up by its exact name, then by the end of the name:
    leading folders may be missing in the name or in the path, if only one
    path fits. Letter case and the two ways to write accents in Unicode are
    then ignored.

    Args:
        paths (Iterable[str]): The files that exist, relative to a folder,
            with ``/`` between the parts.

    Example:
        >>> from soco_mm.coco.files import NameFinder
        >>> finder = NameFinder(['train/1.png', 'val/1.png', 'val/2.png'])
        >>> finder.find('D:\\\\images\\\\val\\\\1.png'), finder.find('2.PNG')
        ('val/1.png', 'val/2.png')
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.paths = set(paths)
        self.by_name: dict[str, list[str]] = {}
        for path in self.paths:
            self.by_name.setdefault(_parts(path)[0], []).append(path)
        self.ends: dict[str, _Ends] = {}

    def find(self, name: str) -> str | None:
        """The path that a name means, None if there is none.

        Raises:
            AmbiguousName: If several fit equally well.
        """
        for known in (name, clean_name(name)):
            if known in self.paths:
                return known
        parts = tuple(_parts(clean_name(name)))
        if parts[0] not in self.by_name:
            return None
        if parts[0] not in self.ends:  # when they are needed: there may be many
            self.ends[parts[0]] = _Ends(self.by_name[parts[0]])
        best = self.ends[parts[0]].find(parts)
        if len(best) > 1:
            raise AmbiguousName(f'{best[0]} and {best[1]}')
        return best[0] if best else None

    def find_all(self, names: Iterable[str]) -> tuple[dict[str, str], str | None]:
        """The paths that many names mean, where that is clear.

        Different names that fit a path only by their ends are of different files,
        one of which at the most is there, and nobody knows which.

        Args:
            names (Iterable[str]): The names.

        Returns:
            tuple: The paths by the names; and the first thing that is not clear, as
            the end of a sentence on what is named, None if all is.
        """
        found: dict[str, str] = {}
        unclear = None
        owners: dict[str, dict[str, str]] = {}
        for name in names:
            try:
                path = self.find(name)
            except AmbiguousName as error:
                unclear = unclear or f'images that could be {error}'
                continue
            if path is not None:
                found[name] = path
                owners.setdefault(path, {}).setdefault(clean_name(name), name)
        for path, known in owners.items():
            if len(known) > 1 and path not in known:
                first, second, *_ = known.values()
                unclear = unclear or f'{first} and {second}, which could both be {path}'
        clear = {
            name: path
            for name, path in found.items()
            if len(owners[path]) == 1 or clean_name(name) == path
        }
        return clear, unclear


class _Ends:
    """Finds paths of one file name by how far their ends agree with a name.

    Args:
        paths (Iterable[str]): The paths.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.ends: dict[tuple, list[str]] = {}
        self.wholes: dict[tuple, list[str]] = {}
        for path in sorted(paths):
            parts = tuple(_parts(path))
            self.wholes.setdefault(parts, []).append(path)
            for number in range(1, len(parts) + 1):
                several = self.ends.setdefault(parts[:number], [])
                if len(several) < 2:  # more do not change what is said
                    several.append(path)

    def find(self, parts: tuple) -> list[str]:
        """The paths that fit best; of several at least two.

        Args:
            parts (tuple): What :func:`_parts` returns for the name, which may have
                more or fewer folders than the paths.
        """
        if parts in self.wholes:
            return self.wholes[parts]
        if parts in self.ends:
            return self.ends[parts]
        shorter = (parts[:number] for number in range(len(parts) - 1, 0, -1))
        return next((self.wholes[each] for each in shorter if each in self.wholes), [])


def same_name(path: str) -> str:
    """A path without what is ignored where no exact one is found.

    Example:
        >>> from soco_mm.coco.files import same_name
        >>> same_name('E\u0301.PNG') == same_name('\xe9.png')
        True
    """
    return unicodedata.normalize('NFC', path).casefold()


def _parts(path: str) -> list[str]:
    """The parts of a path from its end, as they are compared."""
    return same_name(path).strip('/').split('/')[::-1]


def walk_files(root: str) -> list[str]:
    """All files below a folder, relative to it; hidden ones are left out.

    Links to folders are followed, as :func:`soco_mm.utils.list_images` does. A
    folder counts once, by its own path if that is below the root.
    """
    found, seen, waiting = [], set(), [root]
    for start in waiting:  # which grows
        for parent, folders, files in os.walk(start):
            real = os.path.realpath(parent)
            if real in seen:
                folders.clear()
                continue
            seen.add(real)
            folders[:] = sorted(each for each in folders if not each.startswith('.'))
            paths = [os.path.join(parent, each) for each in folders]
            waiting += filter(os.path.islink, paths)  # which os.walk leaves out
            relative = os.path.relpath(parent, root).replace(os.sep, '/')
            found += [
                posixpath.normpath(posixpath.join(relative, name))
                for name in files
                if not name.startswith('.')
            ]
    return found
