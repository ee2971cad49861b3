import json
import posixpath
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from soco_mm.coco import Account, read_images, read_objects
from soco_mm.coco.account import UNLISTED
from soco_mm.coco.boxes import check_in_pixels
from soco_mm.coco.files import walk_files
from soco_mm.coco.structure import ImageEntry, index_images, list_of
from soco_mm.coco.values import Ids
from soco_mm.utils import UsageError

from .masks_json import image_of, is_masks, read_masks, size_of_mask

EXPECTED = (
    'Expected the JSON of the released code, {"file name without suffix": '
    '[[x, y, w, h], ...], ...}; a COCO json, which has "images" and '
    '"annotations"; or COCO results, [{"image_id": ..., "bbox": [x, y, w, h], '
    '"score": ...}, ...]; the JSON of Segment Anything, a file for each image; or a '
    'folder of such files.'
)


class BoxFile(NamedTuple):
    """The boxes in a file.

    Attributes:
        format (str): ``released``, ``coco``, ``coco_results`` or ``masks``.
        boxes (dict): Lists of x, y, w, h in pixels, not checked, by the name
            of their image: in the released format its file name without folder and
            suffix, of masks also with the folder of their file, else its normalised
            path.
        sizes (dict): Width and height in pixels of the images for which the
            file says it, by the same names.
        left_out (Counter): Number of boxes that are not in ``boxes``, by
            reason.
    """

    format: str
    boxes: dict[str, list]
    sizes: dict[str, tuple]
    left_out: Counter


def read_box_file(
    path: str | Path,
    annotations: str | Path | None = None,
    score_thr: float | None = None,
) -> BoxFile:
    """Read the boxes in a file, whose layout is recognised by its content.

    Args:
        path (str | Path): The JSON of the authors' released code, a COCO json
            (crowds are left out), COCO results, the masks of Segment Anything on
            one image; or a folder of such files of one kind.
        annotations (str | Path, optional): Only for COCO results, which need
            it: the COCO json whose ``images`` name the files. Defaults to
            None.
        score_thr (float, optional): The lowest ``score`` of a box that is
            kept; one without a score is kept. Defaults to None, all.

    Returns:
        BoxFile: The boxes.

    Raises:
        UsageError: If a file cannot be read or has another layout, there is
            no box, or an argument does not suit it.
    """
    found = None
    for file in _list_files(Path(path)):
        content = _load(file)
        if content == [] and annotations is None and Path(path).is_dir():
            # Of all layouts in a folder only this one writes an empty list: for an
            # image without masks.
            part = BoxFile('masks', {image_of(file): []}, {}, Counter())
        else:
            part = _read_content(file, content, annotations, score_thr)
        if part.format == 'masks' and Path(path).is_dir():
            part = _below(part, file.parent.relative_to(path).as_posix())
        found = part if found is None else _merge(path, found, part)
    assert found is not None
    if not any(found.boxes.values()):
        if not found.left_out:
            raise UsageError(f'{path} has no box. {EXPECTED}')
        reasons = ', '.join(
            f'{number} {reason}' for reason, number in found.left_out.items()
        )
        raise UsageError(f'{path} has no box that can be used ({reasons}).')
    return found


def _list_files(path: Path) -> list[Path]:
    """The file itself, or the JSON files below a folder.

    Raises:
        UsageError: If there are none.
    """
    if not path.is_dir():
        return [path]
    found = (path / each for each in walk_files(str(path)) if each.endswith('.json'))
    files = sorted(each for each in found if each.is_file())
    if not files:
        raise UsageError(f'{path} holds no .json file. {EXPECTED}')
    return files


def _below(part: BoxFile, folder: str) -> BoxFile:
    """Masks whose images are named with the folder of their file.

    Images of two folders often have the same names.
    """
    if folder == '.':
        return part
    return part._replace(
        boxes={f'{folder}/{name}': each for name, each in part.boxes.items()},
        sizes={f'{folder}/{name}': each for name, each in part.sizes.items()},
    )


def _merge(folder: str | Path, first: BoxFile, second: BoxFile) -> BoxFile:
    """The boxes of two files of a folder; those of one image come together.

    Raises:
        UsageError: If they have different layouts, or sizes of an image.
    """
    if first.format != second.format:
        raise UsageError(
            f'{folder} holds files of different layouts, {first.format} and '
            f'{second.format}. Give a folder of one.'
        )
    for name, boxes in second.boxes.items():
        if first.sizes.get(name, size := second.sizes.get(name)) != size:
            raise UsageError(
                f'Two files in {folder} say different sizes of the image {name}: '
                f'{first.sizes[name]} and {size}. Give a folder without one of them.'
            )
        first.boxes.setdefault(name, []).extend(boxes)
        if size:
            first.sizes[name] = size
    first.left_out.update(second.left_out)
    return first


def _read_content(
    path: Path, content, annotations: str | Path | None, score_thr: float | None
) -> BoxFile:
    """The boxes of one file; see :func:`read_box_file`."""
    if is_masks(content):
        if annotations is not None:
            raise UsageError(
                f'--ann is for COCO results, but {path} has the masks of one image. '
                'Leave it out.'
            )
        left_out: Counter[str] = Counter()
        name, boxes, size = read_masks(path, content, score_thr, left_out)
        return BoxFile('masks', {name: boxes}, {name: size} if size else {}, left_out)
    if isinstance(content, list):
        if annotations is None:
            raise UsageError(
                f'{path} holds COCO results, which have no file names. Give '
                'the COCO json that their image_id refer to with --ann.'
            )
        listing = _load(annotations)
        if not isinstance(listing, dict) or 'images' not in listing:
            raise UsageError(f'{annotations} is not a COCO json: it has no "images".')
        return _read_coco(
            'coco_results', annotations, listing, path, content, score_thr
        )
    if annotations is not None:
        raise UsageError(
            f'--ann is for COCO results, but {path} is not a '
            'list of those. Leave it out.'
        )
    if isinstance(content, dict) and {'images', 'annotations'} <= {*content}:
        entries = list_of(content, 'annotations', path)
        return _read_coco('coco', path, content, path, entries, score_thr)
    if _is_released(content):
        if score_thr is not None:
            raise UsageError(f'{path} has no scores. Leave --score-thr out.')
        return BoxFile('released', content, {}, Counter())
    raise UsageError(f'{path} has an unknown layout. {EXPECTED}')


def _load(path: str | Path):
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f'{path} cannot be read ({error.strerror}).') from None
    if not data.strip():
        raise UsageError(f'{path} is empty. {EXPECTED}')
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UsageError(f'{path} is not JSON ({error}). {EXPECTED}') from None


def _is_released(content) -> bool:
    return (
        isinstance(content, dict)
        and bool(content)
        and all(
            isinstance(boxes, list) and not (boxes and isinstance(boxes[0], dict))
            for boxes in content.values()
        )
    )


def _read_coco(
    layout: str,
    images_path: str | Path,
    listing: dict,
    path: str | Path,
    entries: list[dict],
    score_thr: float | None,
) -> BoxFile:
    """Gather the boxes of COCO's entries by image."""
    images = read_images(listing, images_path)
    images = _read_sizes(images, index_images(images, images_path), entries)
    names = [posixpath.normpath(each.file_name) for each in images]
    boxes: dict[str, list] = {name: [] for name in names}
    sizes = {name: each.size for name, each in zip(names, images) if each.size}
    account = Account()
    objects = read_objects(entries, path, images, account=account)
    check_in_pixels(
        path,
        [each for each in objects if images[each.image].size],
        [each.size for each in images],
    )
    left_out: Counter[str] = Counter()
    for each in objects:
        if each.crowd:
            left_out['crowds'] += 1
        elif each.ignore:
            left_out['ignored'] += 1
        elif (
            each.score is not None
            and score_thr is not None
            and not each.score >= score_thr
        ):
            left_out[f'scored below {score_thr:g}'] += 1
        else:
            boxes[names[each.image]].append(list(each.box))
    unlisted = account.counts[UNLISTED]
    if unlisted:
        left_out['of images that are not listed'] = unlisted
    if names and unlisted == len(entries) > 0:
        raise UsageError(
            f'No box in {path} belongs to an image that {images_path} lists: '
            f'for example, a box has {account.examples[UNLISTED]}, an image '
            f'has the id {images[0].id!r}.'
        )
    if (
        score_thr is not None
        and entries
        and all(each.score is None for each in objects)
    ):
        raise UsageError(f'{path} has no scores. Leave --score-thr out.')
    return BoxFile(layout, boxes, sizes, left_out)


def _read_sizes(
    images: list[ImageEntry], ids: Ids, entries: list[dict]
) -> list[ImageEntry]:
    """Images with the sizes that the masks of their objects say.

    Where no width and height are noted; or these are exchanged, as MaskCut writes
    them.
    """
    found = {}
    for entry in entries if isinstance(entries, list) else ():
        if not isinstance(entry, dict):
            continue
        size, id_ = size_of_mask(entry.get('segmentation')), entry.get('image_id')
        place = ids.find(id_) if size and isinstance(id_, (int, str)) else None
        if place is not None and images[place].size in (None, size[::-1]):
            found[place] = replace(images[place], width=size[0], height=size[1])
    return [found.get(each.number, each) for each in images]
