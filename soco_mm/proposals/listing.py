import codecs
import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from soco_mm.coco import NameFinder, read_images
from soco_mm.coco.files import path_below, walk_files
from soco_mm.utils import ImageListing, UsageError, list_images, read_json
from soco_mm.utils.image_files import is_image

from .layout import encode_path

# Archives, which have to be unpacked first.
ARCHIVES = ('.zip', '.tar', '.tgz', '.gz', '.bz2', '.xz', '.7z', '.rar')
ImageSource = str | Path | Sequence[str | Path]


class ImageSet(NamedTuple):
    """Images that a command works on.

    Attributes:
        root (str): The folder that the paths are relative to, absolute.
        paths (list[str]): The paths, each once, sorted by their bytes.
        notes (list[str]): What is left out of a folder, one sentence each.
    """

    root: str
    paths: list[str]
    notes: Sequence[str] = ()


def list_input(
    images: ImageSource,
    root: str | Path | None = None,
    exclude: Sequence[str | Path] = (),
) -> ImageSet:
    """Find out which images are meant.

    Args:
        images (str | Path | Sequence): A folder of images, nested to any
            depth, or several; a text file with one path per line; or a COCO
            json.
        root (str | Path, optional): What the paths in a file are relative to.
            Defaults to None, the folder of the file.
        exclude (Sequence[str | Path]): Folders of results, which are left out
            of a folder of images. Defaults to none.

    Returns:
        ImageSet: The images; those of several folders are relative to the
        nearest folder above all of them.

    Raises:
        UsageError: If there is no image, the file has another layout, or
            names something outside of the folder.
    """
    if not isinstance(images, (str, Path)):
        if len(images) > 1:
            folders = dict.fromkeys(map(os.path.abspath, images))
            # If one folder lies in another, its images count once.
            outer = [
                each
                for each in folders
                if folders.keys().isdisjoint(map(str, Path(each).parents))
            ]
            return _list_folders(outer, root, exclude)
        images = images[0]
    images = Path(images)
    if images.name.lower().endswith(ARCHIVES) and not images.is_dir():
        raise UsageError(
            f'{images} is an archive. Unpack it first, and give the folder.'
        )
    if images.is_file():
        if is_image(str(images)):
            raise UsageError(f'{images} is one image. Give a folder of images.')
        root = os.path.abspath(root or images.parent)
        names = _find(_read(images), root, images)
        paths = [_below(path, root, images) for path in names]
        paths = sorted(set(paths), key=encode_path)
        if not paths:
            raise UsageError(f'{images} names no image.')
        if not any(os.path.exists(os.path.join(root, path)) for path in paths):
            raise UsageError(
                f'None of the {len(paths)} images that {images} names is in '
                f'{root}, for example {paths[0]}. Give the folder that they '
                'are relative to with --root.'
            )
        return ImageSet(root, paths)
    if root is not None:
        raise UsageError(
            f'--root is for the paths in a file, but {images} is not a file.'
        )
    listing = list_images(images, exclude)
    return ImageSet(
        os.path.abspath(images),
        sorted(listing.paths, key=encode_path),
        listing.describe(),
    )


def _list_folders(
    folders: list[str], root: str | Path | None, exclude: Sequence[str | Path]
) -> ImageSet:
    """The images of several absolute folders, relative to one above them all."""
    if root is not None:
        raise UsageError(
            '--root is for the paths in a file, but several folders are given.'
        )
    for folder in folders:
        if os.path.isfile(folder):
            raise UsageError(f'{folder} is a file. Give one file, or several folders.')
    root = os.path.commonpath(folders)
    found = ImageListing([])
    for folder in folders:
        listing = list_images(folder, exclude)
        below = os.path.relpath(folder, root)
        for mine, theirs in (
            (found.paths, listing.paths),
            (found.results, listing.results),
        ):
            mine += [posixpath.normpath(posixpath.join(below, each)) for each in theirs]
        found.others.update(listing.others)
    return ImageSet(root, sorted(found.paths, key=encode_path), found.describe())


def _read(path: Path) -> list[str]:
    """The paths that a file names."""
    try:
        if path.suffix.lower() != '.json':
            data = path.read_bytes().removeprefix(codecs.BOM_UTF8)
            utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            encoding = 'utf-16' if utf16 else 'utf-8'  # of PowerShell
            lines = data.decode(encoding, 'surrogateescape').split('\n')
            lines = [line.removesuffix('\r') for line in lines]
            return [line for line in lines if line.strip()]
    except OSError as error:
        raise UsageError(f'{path} cannot be read ({error.strerror}).') from None
    return [each.file_name for each in read_images(read_json(path), path)]


def _find(names: list[str], root: str, source: Path) -> list[str]:
    """Find names written on another machine, with other folders, by their end."""
    if any(os.path.exists(os.path.join(root, name)) for name in names):
        return names
    found, unclear = NameFinder(walk_files(root)).find_all(names)
    if unclear:
        raise UsageError(
            f'{source} names {unclear} in {root}. Give the folder that they are '
            'relative to with --root.'
        )
    return [found.get(name, name) for name in names]


def _below(path: str, root: str, source: Path) -> str:
    """A path relative to the root."""
    try:
        os.stat(encode_path(path))
    except (UnicodeEncodeError, ValueError):
        raise UsageError(
            f'{source} names {path!r}, which cannot be the name of a file.'
        ) from None
    except OSError:
        pass  # it may be relative to the root, or missing
    below = path_below(root, path)
    if below is None:
        raise UsageError(
            f'{source} names {path}, which is not below {root}. '
            'Give a folder above it with --root.'
        )
    return below
