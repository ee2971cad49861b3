"""Which files of a folder are images."""

import os
from collections import Counter
from collections import Counter as CounterOf
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from PIL import UnidentifiedImageError

from soco_mm.errors import UsageError

from .opening import open_image

# Suffixes of images; such a file is not opened to find out.
IMAGE_SUFFIXES = frozenset(
    [
        '.apng',
        '.avif',
        '.bmp',
        '.gif',
        '.jfif',
        '.jp2',
        '.jpe',
        '.jpeg',
        '.jpg',
        '.mpo',
        '.pbm',
        '.pgm',
        '.png',
        '.pnm',
        '.ppm',
        '.tif',
        '.tiff',
        '.webp',
    ]
)
# Suffixes of other files; not opened either. Of raw photos (.dng, .nef, ...) OpenCV
# and Pillow would read the small preview.
OTHER_SUFFIXES = frozenset(
    [
        '.7z',
        '.arw',
        '.avi',
        '.bz2',
        '.cache',
        '.ckpt',
        '.cr2',
        '.cr3',
        '.csv',
        '.db',
        '.dcm',
        '.dng',
        '.doc',
        '.docx',
        '.eps',
        '.gz',
        '.htm',
        '.html',
        '.ini',
        '.ipynb',
        '.json',
        '.jsonl',
        '.log',
        '.m4v',
        '.mat',
        '.md',
        '.mkv',
        '.mov',
        '.mp3',
        '.mp4',
        '.mpeg',
        '.mpg',
        '.nef',
        '.npy',
        '.npz',
        '.onnx',
        '.orf',
        '.pdf',
        '.pef',
        '.pickle',
        '.pkl',
        '.ps',
        '.pt',
        '.pth',
        '.py',
        '.raf',
        '.rar',
        '.rst',
        '.rw2',
        '.safetensors',
        '.sh',
        '.sqlite',
        '.srw',
        '.svg',
        '.tar',
        '.tgz',
        '.thm',
        '.toml',
        '.tsv',
        '.txt',
        '.wav',
        '.webm',
        '.wmv',
        '.xls',
        '.xlsx',
        '.xml',
        '.xz',
        '.yaml',
        '.yml',
        '.zip',
    ]
)
# Files by which folders of proposals, exports and pictures of browse are recognised;
# the folder of a run has JOB, and folders whose names start with these.
BROWSE = 'browse.json'
RESULT_MARKERS = ('path_offsets.npy', 'soco_weights.pth', BROWSE)
JOB = 'job.json'
RUN_PARTS = ('annotations', 'checkpoints', 'exported', 'proposals', 'vis_data')
# Suffixes of folders next to a folder of results.
_UNFINISHED = ('.unfinished', '.partial', '.old', '.shards')


@dataclass
class ImageListing:
    """The images of a folder, and what else is in it.

    Attributes:
        paths (list[str]): The images, relative to the folder, with ``/``
            between the parts, sorted.
        others (Counter): How many other files, by their suffix in lower
            case, empty for names without one.
        results (list[str]): Folders of earlier results, relative, which are
            left out with all that is in them.
    """

    paths: list[str]
    others: CounterOf[str] = field(default_factory=Counter)
    results: list[str] = field(default_factory=list)

    def describe(self) -> list[str]:
        """What is left out, one sentence each; empty if nothing is."""
        lines = []
        if number := sum(self.others.values()):
            counts = ', '.join(
                f'{suffix or "without a suffix"} {count}'
                for suffix, count in sorted(
                    self.others.items(), key=lambda each: (-each[1], each[0])
                )
            )
            lines.append(
                f'{number} file{" is" if number == 1 else "s are"} '
                f'not {"an image" if number == 1 else "images"}: '
                f'{counts}'
            )
        for folder in self.results:
            lines.append(f'{folder} is left out of the images: it is for results')
        return lines


def list_images(folder: str | Path, exclude: Sequence[str | Path] = ()) -> ImageListing:
    """Find the images in a folder and the folders below it.

    Every file that OpenCV or Pillow reads is one: by the usual suffixes,
    without opening it; a file of an unknown suffix by its content. Links to
    folders are followed; hidden files and folders are left out, and so are
    the folders of earlier runs, proposals and exports below it.

    Args:
        folder (str | Path): The folder.
        exclude (Sequence[str | Path]): Folders to leave out, which will hold
            results. Defaults to none.

    Returns:
        ImageListing: The images, and what else is there.

    Raises:
        UsageError: If there is no such folder, no image in it, or a folder
            below it cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UsageError(
            f'There is no folder {folder}. Give the folder that holds your images.'
        )
    listing = ImageListing([])
    seen = set()
    excluded = {os.path.realpath(each) for each in exclude}
    excluded |= {each + end for each in excluded for end in _UNFINISHED}

    def refuse(error: OSError) -> None:
        raise UsageError(
            f'The folder {error.filename} cannot be read '
            f'({error.strerror}). Change its permissions, or '
            'take it out of the images.'
        )

    for parent, folders, files in os.walk(folder, onerror=refuse, followlinks=True):
        real = os.path.realpath(parent)
        if real in seen:  # a link back to a folder above
            folders.clear()
            continue
        seen.add(real)
        relative = os.path.relpath(parent, folder)
        if relative != '.' and (real in excluded or holds_results(folders, files)):
            listing.results.append(relative.replace(os.sep, '/'))
            folders.clear()
            continue
        # Sorted, so that of a folder and a link to it always the same one counts.
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        for name in files:
            if name.startswith('.'):
                continue
            suffix = os.path.splitext(name)[1].lower()
            if suffix in IMAGE_SUFFIXES or (
                suffix not in OTHER_SUFFIXES and is_image(os.path.join(parent, name))
            ):
                path = os.path.normpath(os.path.join(relative, name))
                listing.paths.append(path.replace(os.sep, '/'))
            else:
                listing.others[suffix] += 1
    if not listing.paths:
        found = ''.join(f'; {line}' for line in listing.describe())
        raise UsageError(f'There is no image in {folder} or below it{found}.')
    listing.paths.sort()
    return listing


def holds_results(folders: Sequence[str], files: Sequence[str]) -> bool:
    """Whether a folder is of a run, proposals, an export or pictures of browse.

    Args:
        folders (Sequence[str]): Names of the folders in it.
        files (Sequence[str]): Names of the files in it.
    """
    return any(name in files for name in RESULT_MARKERS) or (
        JOB in files and any(name.startswith(RUN_PARTS) for name in folders)
    )


def is_image(path: str) -> bool:
    """Whether OpenCV or Pillow recognises a file as an image, by its first bytes."""
    try:
        open_image(path).close()
        return True
    except UnidentifiedImageError:
        pass
    except Exception:  # nearly anything on bad bytes; or it cannot be read
        return False
    try:
        path.encode()
    except UnicodeEncodeError:
        return False  # OpenCV would crash on such a name
    return os.path.isfile(path) and cv2.haveImageReader(path)
