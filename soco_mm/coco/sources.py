"""Annotations of any layout: COCO, YOLO or Pascal VOC."""

from pathlib import Path

from soco_mm.errors import UsageError
from soco_mm.utils import read_json

from .source import Source
from .voc import LISTS, find_annotations, find_layout, has_images, is_voc, read_voc
from .yolo import read_yolo

EXPECTED_LAYOUTS = (
    'a COCO json, the data.yaml of a YOLO data set, a folder of Pascal '
    'VOC xml files, or a file of its ImageSets/Main'
)
YAML = ('.yaml', '.yml')
FILES = ('.json', '.txt', *YAML)
DATA_YAML = 'data.yaml'
# What to do where images of an evaluation are those of the training too.
SAME_NAMES = ' (if only their names are equal, give --val-images)'


def holds_annotations(path: str | Path) -> bool:
    """Whether annotations are meant, and not a folder of class folders."""
    path = Path(path)
    if path.is_dir():
        return is_voc(path) or (path / DATA_YAML).is_file()
    return path.is_file() or path.suffix.lower() in FILES


def has_splits(path: str | Path) -> bool:
    """Whether a path is of a whole data set, with images for validation.

    That is a ``data.yaml``, or a folder with one or with ``ImageSets/Main``.
    """
    path = Path(path)
    if path.is_dir():
        return (path / DATA_YAML).is_file() or any((path / LISTS).glob('*.txt'))
    return path.suffix.lower() in YAML


def images_of_val(
    train: str | Path,
    val: str | Path | None,
    images: str | Path | None,
    val_images: str | Path | None,
) -> str | Path | None:
    """The folder of the images of an evaluation.

    Args:
        train (str | Path): The annotations of the training.
        val (str | Path, optional): Those of the evaluation, if they are others.
        images (str | Path, optional): The folder of the images of the training.
        val_images (str | Path, optional): That of the evaluation, if it is given.

    Returns:
        str | Path, optional: Where none is given that of the training; None, where the
        layout says, if ``val`` is another Pascal VOC data set with images of its own.
    """
    if val_images is not None:
        return val_images
    train, val = Path(train), Path(val or train)
    if images is None or not _holds_voc(val):
        return images
    if _holds_voc(train) and find_layout(train).xmls.samefile(find_layout(val).xmls):
        return images
    return None if has_images(val) else images


def _holds_voc(path: Path) -> bool:
    """Whether a path is of a Pascal VOC data set."""
    if path.is_dir():
        return is_voc(path)
    return path.suffix.lower() == '.txt' and find_annotations(path) is not None


def read_source(
    path: str | Path, root: str | Path | None = None, split: str | None = 'train'
) -> Source:
    """Read annotations, whichever layout they have.

    Args:
        path (str | Path): A COCO json; the ``data.yaml`` of a YOLO data set,
            or its folder; a folder of Pascal VOC xml files, one that holds
            ``Annotations``, or a file of ``ImageSets/Main``.
        root (str | Path, optional): The folder of the images. Defaults to
            None: where the layout says.
        split (str, optional): Where ``path`` is of a whole data set, which
            images: train, val or test; None for all. Defaults to train.

    Returns:
        Source: The content of a COCO json.

    Raises:
        UsageError: If ``path`` is none of these, or malformed: the text has
            the file and, of other layouts than JSON, the line.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_dir():
        return _read_folder(path, root, split)
    if not path.exists():
        raise UsageError(f'There is no {path}. Give {EXPECTED_LAYOUTS}.')
    if suffix in YAML:
        return read_yolo(path, split, root)
    if suffix == '.txt':
        if find_annotations(path) is None:
            raise UsageError(
                f'{path} is not in a Pascal VOC data set: there is no folder '
                'Annotations next to it or above. For a YOLO data set give the '
                'data.yaml.'
            )
        return read_voc(path, root)
    if suffix == '.xml':
        raise UsageError(f'{path} is for one image. Give the folder of the xml files.')
    return Source(path, None if root is None else Path(root), read_json(path))


def _read_folder(path: Path, root: str | Path | None, split: str | None) -> Source:
    """Read annotations in a folder.

    Raises:
        UsageError: If there are none, or it is not clear which.
    """
    if is_voc(path):
        return read_voc(path, root, split)
    found = sorted(path.iterdir())
    names = [each.name.lower() for each in found]
    if (path / DATA_YAML).is_file():
        return read_yolo(path / DATA_YAML, split, root)
    for suffixes, advice in (
        (YAML, 'Give the yaml file'),
        (('.json',), 'Give the COCO json'),
    ):
        for each in found:
            if each.suffix.lower() in suffixes:
                raise UsageError(f'{path} is a folder. {advice} in it, such as {each}.')
    if 'labels' in names or any(each.suffix == '.txt' for each in found):
        raise UsageError(
            f'{path} holds YOLO labels, but no data.yaml, which names the '
            'classes. Write one with "train" and "val" (folders of images) '
            'and "names" (a list of the classes), and give its path.'
        )
    raise UsageError(f'{path} holds no annotations. Give {EXPECTED_LAYOUTS}.')
