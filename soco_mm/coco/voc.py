"""Pascal VOC annotations as the content of a COCO json."""

import os
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path

from soco_mm.errors import UsageError
from soco_mm.utils import list_images
from soco_mm.utils.image_files import IMAGE_SUFFIXES
from soco_mm.utils.sizes import THREADS

from .account import Account, Reason
from .files import clean_name, same_name, walk_files
from .source import Source
from .texts import read_text
from .values import to_flag, to_number, to_side
from .xml_tree import PlacedElement, PlacedError, children, read_xml, value_of

ANNOTATIONS = 'Annotations'
IMAGES = 'JPEGImages'
LISTS = 'ImageSets/Main'
SPLITS = ('train', 'valid', 'val', 'validation', 'test')  # names of folders
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
STRAY = Reason('xml file without an image', 'xml files without an image')
UNLABELLED = Reason('image without an xml file', 'images without an xml file')


@dataclass(frozen=True)
class VocLayout:
    """Where the parts of a data set are.

    Attributes:
        xmls (Path): The folder of the xml files.
        images (Path): The folder of the images.
        list (Path, optional): The file that names the images to use; None for
            all.
    """

    xmls: Path
    images: Path
    list: Path | None = None


@dataclass(frozen=True)
class VocObject:
    """An object of an xml file.

    Attributes:
        name (str): Its class.
        corners (tuple): xmin, ymin, xmax and ymax as they are in the file.
        difficult (bool): Whether it is to be ignored.
        truncated (str): Whether only a part is seen, as it is in the file.
        rotation (str): The angle by which the box is turned, in degrees, as CVAT
            writes it; empty if it is not said.
    """

    name: str
    corners: tuple[float, float, float, float]
    difficult: bool
    truncated: str
    rotation: str


@dataclass(frozen=True)
class VocFile:
    """What an xml file holds.

    Attributes:
        name (str): Its path in the folder of the xml files.
        file_name (str): The name of the image as it is noted; may be empty.
        width (int, optional): Of the image in pixels; None if it is not said.
        height (int, optional): The same.
        objects (tuple[VocObject]): The objects.
    """

    name: str
    file_name: str
    width: int | None
    height: int | None
    objects: tuple[VocObject, ...]


def read_voc(
    path: str | Path, images: str | Path | None = None, split: str | None = None
) -> Source:
    """Read a data set with one xml file per image.

    Corners of boxes are numbers of pixels from 1, both inside of the box: a
    box from ``xmin`` = 1 to ``xmax`` = W is as wide as the image. In
    continuous coordinates that is ``xmin - 1`` to ``xmax``, as Detectron2 has
    it; MMDetection's ``XMLDataset`` takes ``xmax - 1`` for the other corner
    too, which makes boxes a pixel smaller. If more boxes start at 0 than at
    1, or most corners are no whole numbers, the tool counted from 0, and corners
    are taken as they are.

    Args:
        path (str | Path): The folder that holds ``Annotations``, a folder of
            xml files, or a file of ``ImageSets/Main``.
        images (str | Path, optional): The folder of the images. Defaults to
            None: ``JPEGImages`` or ``images`` beside the xml files' folder,
            else that folder.
        split (str, optional): Use the file of this name in ``ImageSets/Main``
            if ``path`` is a folder with such files. Defaults to None, all.

    Returns:
        Source: The content of a COCO json. ``difficult`` objects are to be
        ignored (``ignore``); classes are sorted by name.

    Raises:
        UsageError: If an xml file is wrong, with its line; two are of one image;
            or the images, the xml files or a file of a list are missing.
    """
    layout, account = find_layout(Path(path), images, split), Account()
    files = list_images(layout.images).paths
    finder = ImageFinder(files)
    found, missing = [], []
    with ThreadPool(THREADS) as pool:
        for each in pool.imap(
            partial(read_voc_file, layout.xmls), _list_xmls(layout), 16
        ):
            image = finder.find(each)
            if image is None:
                missing.append(each.name)
            else:
                found.append((each, image))
    if missing and (layout.list or not found):
        more = f' (and of {len(missing) - 1} more)' * (len(missing) > 1)
        raise UsageError(
            f'The image of {layout.xmls / missing[0]}{more} is not in '
            f'{layout.images}. Give the folder of the images.'
        )
    _check_owners(found, layout)
    for name in missing:
        account.add(STRAY, name)
    if layout.list is None:
        used = {image for _, image in found}
        for name in files:
            if name not in used:
                account.add(UNLABELLED, name)
    content = _content(
        os.path.basename(layout.xmls.absolute()),
        found,
        _first_pixel([each for each, _ in found] + _others(layout, found)),
    )
    return Source(Path(path), layout.images, content, account)


def find_layout(
    path: Path, images: str | Path | None = None, split: str | None = None
) -> VocLayout:
    """Find the folders of a data set from one of them or from a list of images.

    Raises:
        UsageError: If something is missing.
    """
    listed = path if path.is_file() else None
    if listed:
        xmls = find_annotations(path)
        if xmls is None:
            raise UsageError(
                f'There is no folder {ANNOTATIONS} for the list '
                f'{path}. Keep it in {LISTS} beside '
                f'{ANNOTATIONS}.'
            )
    elif (path / ANNOTATIONS).is_dir():
        xmls = path / ANNOTATIONS
        lists = path / LISTS
        if split and any(lists.glob('*.txt')):
            listed = lists / f'{split}.txt'
            if not listed.is_file():
                raise UsageError(f'There is no {listed}. Give a file of {lists}.')
    else:
        xmls = path
    if images is None:
        places = (xmls.parent / IMAGES, xmls.parent / 'images')
        images = next((each for each in places if each.is_dir()), xmls)
    elif not Path(images).is_dir():
        raise UsageError(
            f'There is no folder {images}. Give the folder of the images of {path}.'
        )
    return VocLayout(xmls, Path(images), listed)


def has_images(path: Path) -> bool:
    """Whether the images of a Pascal VOC data set are where its layout says."""
    try:
        return bool(list_images(find_layout(path).images).paths)
    except UsageError:  # there is none
        return False


def find_annotations(path: Path) -> Path | None:
    """The folder ``Annotations`` beside a list of images or above it."""
    places = [each / ANNOTATIONS for each in path.absolute().parents[:3]]
    return next((each for each in places if each.is_dir()), None)


def is_voc(path: Path) -> bool:
    """Whether a folder holds xml files, or ``Annotations`` with some below it."""
    found = [*walk_files(str(path / ANNOTATIONS)), *os.listdir(path)]
    return any(each.lower().endswith('.xml') for each in found)


def _list_xmls(layout: VocLayout) -> list[str]:
    """Paths of the xml files to read, relative to their folder.

    Raises:
        UsageError: If there is none, or one of a list is missing.
    """
    known = sorted(
        each for each in walk_files(str(layout.xmls)) if each.lower().endswith('.xml')
    )
    if not known:
        raise UsageError(f'There is no xml file in {layout.xmls}.')
    if layout.list is None:
        return known
    by_stem = {os.path.splitext(each)[0]: each for each in known}
    found: dict[str, int] = {}
    for number, line in enumerate(read_text(layout.list).split('\n'), 1):
        if not line.strip():
            continue
        names = _names_of(line.strip())
        xmls = (
            by_stem.get(each) or by_stem.get(_without_suffix(each)) for each in names
        )
        xml = next(filter(None, xmls), None)
        if xml is None:
            raise UsageError(
                f'{layout.list}:{number}: there is no '
                f'{layout.xmls / names[-1]}.xml. Correct the list.'
            )
        found[xml] = None
    if not found:
        raise UsageError(f'{layout.list} names no image.')
    return list(found)


def _names_of(line: str) -> list[str]:
    """The names that a line of a list may mean, first the whole line.

    Lists of one class have -1, 0 or 1 behind the name, which others end with.
    """
    name, _, flag = line.rpartition(' ')
    return [line, name.strip()] if name and flag in ('-1', '0', '1') else [line]


def _without_suffix(name: str) -> str:
    """A name of a list without the suffix that it should not have.

    What else follows a dot belongs to it, as in frame.10.
    """
    stem, suffix = os.path.splitext(name)
    return stem if suffix.lower() in (*IMAGE_SUFFIXES, '.xml') else name


def read_voc_file(folder: Path, name: str) -> VocFile:
    """Read an xml file.

    Args:
        folder (Path): The folder of the xml files.
        name (str): The path of the file in it.

    Returns:
        VocFile: What it holds.

    Raises:
        UsageError: If it is wrong, with its line.
    """
    path = folder / name
    tree = read_xml(path)
    if tree.tag != 'annotation':
        raise UsageError(
            f'{path}:{tree.line}: not Pascal VOC: it holds '
            f'<{tree.tag}>, not <annotation>.'
        )
    try:
        return VocFile(
            name,
            value_of(tree, 'filename', str),
            value_of(tree, 'size/width', to_side),
            value_of(tree, 'size/height', to_side),
            tuple(_read_object(each) for each in children(tree, 'object')),
        )
    except PlacedError as error:
        raise UsageError(
            f'{path}:{error.line}: {error}. Expected object/name '
            'and object/bndbox with xmin, ymin, xmax and ymax in '
            'pixels.'
        ) from None


def _read_object(element: PlacedElement) -> VocObject:
    """Read an ``object``.

    Raises:
        PlacedError: If it is wrong.
    """
    x1, y1, x2, y2 = (
        value_of(element, f'bndbox/{each}', to_number) for each in CORNERS
    )
    if x2 < x1 or y2 < y1:
        raise PlacedError(
            f'the corner {x2:g}, {y2:g} of the object is not '
            f'right of and below {x1:g}, {y1:g}',
            children(element, 'bndbox')[0].line,
        )
    return VocObject(
        value_of(element, 'name', _filled),
        (x1, y1, x2, y2),
        value_of(element, 'difficult', to_flag),
        value_of(element, 'truncated', str),
        next(
            (
                value_of(each, 'value', str)
                for each in children(element, 'attributes/attribute')
                if value_of(each, 'name', str) == 'rotation'
            ),
            '',
        ),
    )


def _filled(text: str) -> str:
    """A text that is not empty."""
    if not text:
        raise ValueError('is empty')
    return text


class ImageFinder:
    """Finds the images of xml files.

    Args:
        files (list[str]): Paths of the images in their folder.
    """

    def __init__(self, files: list[str]) -> None:
        self.by_stem: dict[str, list[str]] = defaultdict(list)
        self.by_name: dict[str, list[str]] = defaultdict(list)
        self.alike: dict[str, list[str]] = defaultdict(list)
        for each in files:
            self.by_stem[_stem(each)].append(each)
            self.by_name[each.rpartition('/')[2]].append(each)
            self.alike[same_name(_stem(each))].append(each)

    def find(self, xml: VocFile) -> str | None:
        """The image of the same name, else the one that is noted.

        Where there is neither, letter case and the two ways to write accents are
        ignored.

        Raises:
            UsageError: If there are several.
        """
        noted = clean_name(xml.file_name).rpartition('/')[2]
        places = self.by_stem.get(_stem(xml.name)) or []
        if len(places) > 1:
            places = [
                each for each in places if each.rpartition('/')[2] == noted
            ] or places
        elif not places:
            alike = self.alike.get(same_name(_stem(xml.name)))
            places = self.by_name.get(noted) or alike or []
        if len(places) > 1:
            raise UsageError(
                f'The image of {xml.name} could be {places[0]} or '
                f'{places[1]}. Give images and xml files the same names.'
            )
        return places[0] if places else None


def _check_owners(found: list[tuple[VocFile, str]], layout: VocLayout) -> None:
    """Refuse two xml files of one image: the objects of one are of another.

    Raises:
        UsageError: If there are such files.
    """
    owners: dict[str, str] = {}
    for xml, image in found:
        other = owners.setdefault(image, xml.name)
        if other != xml.name:
            raise UsageError(
                f'{other} and {xml.name} in {layout.xmls} could both be of {image} '
                f'in {layout.images}. Give images and xml files the same names.'
            )


def _stem(path: str) -> str:
    return os.path.splitext(path)[0]


def _others(layout: VocLayout, found: list[tuple[VocFile, str]]) -> list[VocFile]:
    """The xml files of the other splits, if readable.

    Those of the folder that a list does not name; or of the folders beside it, such
    as ``valid`` beside ``train``.
    """
    others = []
    if layout.list is None:
        layouts = [replace(layout, xmls=each) for each in _folders_beside(layout.xmls)]
        names = [(each.xmls, name) for each in layouts for name in _list_xmls(each)]
    else:
        listed = {each.name for each, _ in found}
        known = _list_xmls(replace(layout, list=None))
        names = [(layout.xmls, name) for name in known if name not in listed]
    for folder, name in names:
        try:
            others.append(read_voc_file(folder, name))
        except UsageError:
            pass  # it is not used
    return others


def _folders_beside(xmls: Path) -> list[Path]:
    """Folders of xml files of the other splits, if each has its own folder."""
    xmls = xmls.absolute()
    inner = ANNOTATIONS if xmls.name == ANNOTATIONS else ''
    own = xmls.parent if inner else xmls
    if own.name.lower() not in SPLITS:
        return []
    beside = [each for each in own.parent.iterdir() if each.name.lower() in SPLITS]
    found = [each / inner for each in sorted(beside) if each != own and each.is_dir()]
    return [each for each in found if each.is_dir() and is_voc(each)]


def _first_pixel(xmls: list[VocFile]) -> int:
    """The number of the first pixel of an image, 0 or 1.

    Objects that the edge cuts off have their corners there. All splits of a
    data set are looked at, so that they are read alike.
    """
    corners = [each.corners for xml in xmls for each in xml.objects]
    # Points between pixels are counted from the edge, as CVAT does. A few are in
    # Pascal VOC itself, whose first pixel is 1.
    between = [each for each in corners if any(value % 1 for value in each)]
    if 2 * len(between) > len(corners):
        return 0
    starts = [int(start // 1) for each in corners for start in each[:2]]
    return int(starts.count(0) <= starts.count(1))


def _content(folder: str, found: list[tuple[VocFile, str]], first: int) -> dict:
    """The content of a COCO json of xml files and their images."""
    objects = [each for xml, _ in found for each in xml.objects]
    names = sorted({each.name for each in objects})
    ids = {name: number for number, name in enumerate(names, 1)}
    images, annotations = [], []
    for number, (xml, image) in enumerate(found, 1):
        images.append(
            dict(id=number, file_name=image, width=xml.width, height=xml.height)
        )
        for index, each in enumerate(xml.objects, 1):
            x1, y1, x2, y2 = each.corners
            x1, y1 = x1 - first, y1 - first
            turned = {}
            if each.rotation:
                turned['attributes'] = dict(rotation=each.rotation)
            annotations.append(
                dict(
                    id=f'{folder}/{xml.name}: object {index}',
                    image_id=number,
                    category_id=ids[each.name],
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    ignore=int(each.difficult),
                    truncated=each.truncated,
                    **turned,
                )
            )
    return dict(
        images=images,
        categories=[dict(id=ids[name], name=name) for name in names],
        annotations=annotations,
    )
