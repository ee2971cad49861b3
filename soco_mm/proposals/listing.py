import codecs
import os
from pathlib import Path
from typing import List, Optional, Tuple, Union

from soco_mm.coco import AmbiguousName, NameFinder, read_images
from soco_mm.coco.files import walk_files
from soco_mm.utils import UsageError, list_images, read_json
from .layout import encode_path


def list_input(images: Union[str, Path],
               root: Optional[Union[str, Path]] = None
               ) -> Tuple[str, List[str]]:
    """Find out which images are meant.

    Args:
        images (str | Path): A folder of images, nested as it likes; a text
            file with a path a line; or a COCO json.
        root (str | Path, optional): What the paths in a file are relative to.
            Defaults to None, the folder of the file.

    Returns:
        tuple: The folder that the paths are relative to, absolute, and the
        paths, each once, sorted by their bytes.

    Raises:
        UsageError: If there is no image, the file has another layout, or
            names something outside of the folder.
    """
    images = Path(images)
    if images.is_file():
        root = os.path.abspath(root or images.parent)
        names = _find(_read(images), root, images)
        paths = [_below(path, root, images) for path in names]
        paths = sorted(set(paths), key=encode_path)
        if not paths:
            raise UsageError(f'{images} names no image.')
        if not any(os.path.exists(os.path.join(root, path))
                   for path in paths):
            raise UsageError(
                f'None of the {len(paths)} images that {images} names is in '
                f'{root}, for example {paths[0]}. Name the folder that they '
                'are relative to with --root.')
        return root, paths
    if root is not None:
        raise UsageError(f'--root is for the paths in a file, but {images} is '
                         'not a file.')
    paths = list_images(images)
    return os.path.abspath(images), sorted(paths, key=encode_path)


def _read(path: Path) -> List[str]:
    """The paths that a file names."""
    try:
        if path.suffix.lower() != '.json':
            data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
            lines = data.decode('utf-8', 'surrogateescape').split('\n')
            lines = [line.removesuffix('\r') for line in lines]
            return [line for line in lines if line.strip()]
    except OSError as error:
        raise UsageError(f'{path} cannot be read ({error.strerror}).'
                         ) from None
    return [each.file_name for each in read_images(read_json(path), path)]


def _find(names: List[str], root: str, source: Path) -> List[str]:
    """Names of another machine, whose folders are not there, by their end."""
    if any(os.path.exists(os.path.join(root, name)) for name in names):
        return names
    finder = NameFinder(walk_files(root))
    try:
        return [finder.find(name) or name for name in names]
    except AmbiguousName as error:
        raise UsageError(f'{source} names images that could be {error} in '
                         f'{root}. Name the folder that they are relative to '
                         'with --root.') from None


def _below(path: str, root: str, source: Path) -> str:
    """A path relative to the root."""
    try:
        os.stat(encode_path(path))
    except (UnicodeEncodeError, ValueError):
        raise UsageError(f'{source} names {path!r}, which cannot be the name '
                         'of a file.') from None
    except OSError:
        pass  # it may be relative to the root, or missing
    relative = os.path.normpath(
        os.path.relpath(path, root) if os.path.isabs(path) else path)
    if relative.split(os.sep)[0] == os.pardir:
        raise UsageError(f'{source} names {path}, which is not below {root}. '
                         'Name a folder above it with --root.')
    return relative.replace(os.sep, '/')
