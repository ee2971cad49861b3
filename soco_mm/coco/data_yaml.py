"""The ``data.yaml`` of a YOLO data set."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from soco_mm.errors import UsageError
from soco_mm.utils import list_images

from .files import AmbiguousName, NameFinder, clean_name, path_below, walk_files
from .texts import read_text

SPLITS = ('train', 'val', 'test')
# Texts that mean "no value", since every value is read as text.
_NOTHING = ('', '~', 'null', 'Null', 'NULL', 'None')


@dataclass(frozen=True)
class DataYaml:
    """What a ``data.yaml`` says.

    Attributes:
        path (Path): The file.
        root (str): The folder of the data set, absolute: its ``path``, else
            that of the file. No file outside of both is read.
        names (dict[int, str]): Names of the classes by number.
        splits (dict[str, list[str]]): For train, val and test, as far as they
            exist, the folders and lists of images as they are written.
        keypoints (int): How many numbers follow the box of an object
            (``kpt_shape``).
    """

    path: Path
    root: str
    names: dict[int, str]
    splits: dict[str, list[str]]
    keypoints: int = 0

    @property
    def folder(self) -> str:
        """str: The folder of the file, absolute."""
        return os.path.dirname(os.path.abspath(self.path))


@dataclass(frozen=True)
class ImageList:
    """Images of a split, from one folder or list.

    Attributes:
        folder (str, optional): The folder, absolute; None if it is a list.
        images (list[str]): Absolute paths of the images.
    """

    folder: str | None
    images: list[str]


def read_data_yaml(path: str | Path) -> DataYaml:
    """Read a ``data.yaml``.

    Args:
        path (str | Path): The file.

    Returns:
        DataYaml: What it says.

    Raises:
        UsageError: If it is not YAML, or has no classes or no images.
    """
    path = Path(path)
    try:
        # All values as text: a class may be called "no" or "1.0".
        content = yaml.load(read_text(path), yaml.BaseLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        place = f':{mark.line + 1}' if mark else ''
        reason = getattr(error, 'problem', None) or error
        raise UsageError(f'{path}{place}: not YAML ({reason}).') from None
    if not isinstance(content, dict):
        raise _wrong(path, 'it holds no keys')
    content = {
        key: value
        for key, value in content.items()
        if not (isinstance(value, str) and value.strip() in _NOTHING)
    }
    if 'validation' in content:
        content.setdefault('val', content['validation'])
    splits = {key: _texts(path, key, content[key]) for key in SPLITS if key in content}
    if not splits:
        raise _wrong(path, 'it has no "train", "val" or "test"')
    return DataYaml(
        path,
        _root(path, content.get('path')),
        _names(path, content),
        splits,
        _keypoints(path, content),
    )


def _wrong(path: Path, reason: str) -> UsageError:
    return UsageError(
        f'{path} is not the data.yaml of a YOLO data set: '
        f'{reason}. Expected "train" and "val" (folders of '
        'images) and "names" (a list of the classes).'
    )


def _texts(path: Path, key: str, value: Any) -> list[str]:
    """A text, or a list of them."""
    values = value if isinstance(value, list) else [value]
    if not values or not all(isinstance(each, str) for each in values):
        raise _wrong(path, f'"{key}" is neither a path nor a list of paths')
    return values


def _whole(path: Path, key: str, value: Any) -> int:
    """A whole number from 0."""
    if not (isinstance(value, str) and re.fullmatch(r'\s*\d+\s*', value)):
        raise _wrong(path, f'{key} {value!r} is not a whole number')
    return int(value)


def _names(path: Path, content: dict) -> dict[int, str]:
    """Names of the classes by number."""
    number = content.get('nc') and _whole(path, 'nc', content['nc'])
    names = content.get('names')
    if names is None and number:
        return {index: f'class{index}' for index in range(number)}
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise _wrong(path, 'it has no "names"')
    names = {
        _whole(path, 'the number of a class', str(each)): name
        for each, name in names.items()
    }
    for name in names.values():
        if not isinstance(name, str):
            raise _wrong(path, f'the name {name!r} of a class is not text')
    if number is not None and number != len(names):
        raise UsageError(
            f'{path} has {len(names)} names, but nc is {number}. Correct one of them.'
        )
    return dict(sorted(names.items()))


def _keypoints(path: Path, content: dict) -> int:
    """How many numbers follow the box of an object."""
    shape = content.get('kpt_shape')
    if shape is None:
        return 0
    if not isinstance(shape, list) or len(shape) != 2:
        raise _wrong(path, f'kpt_shape {shape!r} is not two numbers')
    points, values = (_whole(path, 'kpt_shape', each) for each in shape)
    return points * values


def _root(path: Path, root: Any) -> str:
    """The folder of the data set: ``path``, if there is such a folder."""
    folder = os.path.dirname(os.path.abspath(path))
    if root is None:
        return folder
    if not isinstance(root, str):
        raise _wrong(path, f'path {root!r} is not text')
    for base in (folder, os.getcwd()):
        known = os.path.normpath(os.path.join(base, root))
        if os.path.isdir(known):
            return known
    return folder  # the path of another machine


def split_images(
    data: DataYaml, split: str, root: str | Path | None = None
) -> list[ImageList]:
    """Find the images of a split.

    Args:
        data (DataYaml): The data set.
        split (str): One of train, val and test.
        root (str | Path, optional): A folder that a user names, in which images
            may be as well. Defaults to None.

    Returns:
        list[ImageList]: Those of each folder or list.

    Raises:
        UsageError: If the file has no such split, or an image is missing or
            outside of the folders of the data set.
    """
    if split not in data.splits:
        raise UsageError(
            f'{data.path} has no "{split}", only '
            f'{" and ".join(data.splits)}. Add it: the folder of '
            'these images.'
        )
    found = []
    places = [data.root, data.folder]
    if root is not None:
        places.append(os.path.abspath(root))
    for entry in data.splits[split]:
        place = _locate(data, split, entry, places)
        if os.path.isdir(place):
            images = [os.path.join(place, each) for each in list_images(place).paths]
            found.append(ImageList(place, images))
        else:
            found.append(ImageList(None, _listed(data, place, places)))
    return found


def _is_below(path: str, places: list[str]) -> bool:
    """Whether a path is in one of the folders."""
    return any(path_below(each, path) is not None for each in places)


def _locate(data: DataYaml, split: str, entry: str, places: list[str]) -> str:
    """The folder or list that is meant, absolute.

    Relative to the root or the file; Roboflow's ``../train/images`` is in the
    folder of the file, and so is what has the path of another machine.
    """
    name = clean_name(entry)
    tried = [os.path.join(data.root, name), os.path.join(data.folder, name)]
    parts = [each for each in name.split('/') if each and each != '..']
    # A single folder name, such as "images", could be that of another split.
    last = len(parts) - 1 if name.startswith('/') else 1
    tried += [
        os.path.join(base, *parts[start:])
        for start in range(last)
        for base in (data.root, data.folder)
    ]
    for each in map(os.path.normpath, tried):
        if _is_below(each, places) and os.path.exists(each):
            return each
    raise UsageError(
        f'{data.path} names {entry} as its {split}, which is not '
        f'in {" or ".join(dict.fromkeys(places))}. Correct "{split}" or "path" there.'
    )


def _listed(data: DataYaml, path: str, places: list[str]) -> list[str]:
    """The images that a text file names, one path per line, in these folders."""
    found: list[str] = []
    missing: list[str] = []
    finder = None
    for number, line in enumerate(read_text(path).splitlines(), 1):
        line = line.strip()
        if not line:
            continue
        name = clean_name(line)
        bases = os.path.dirname(path), data.root, data.folder, os.getcwd()
        tried = [os.path.normpath(os.path.join(base, name)) for base in bases]
        files = [each for each in tried if os.path.isfile(each)]
        for known in files:
            if _is_below(known, places):
                found.append(known)
                break
        else:
            finder = finder or NameFinder(walk_files(data.root))
            try:
                known = finder.find(line)
            except AmbiguousName as error:
                raise UsageError(
                    f'{path}:{number}: {line} could be {error} in '
                    f'{data.root}. Write the path relative to it.'
                ) from None
            if known is None:
                where = ' or '.join(dict.fromkeys(places))
                reason = f'not in {where}' if files else 'missing'
                missing.append(f'{path}:{number}: {line} is {reason}')
            else:
                found.append(os.path.join(data.root, known))
    if missing:
        more = len(missing) - 1
        raise UsageError(
            f'{missing[0]}{f" (and {more} more)" * bool(more)}. '
            'Correct the list, or "path" in '
            f'{data.path}.'
        )
    if not found:
        raise UsageError(f'{path} names no image.')
    return found
