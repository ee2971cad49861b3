"""Masks of Segment Anything, a JSON file for each image."""

import posixpath
from collections import Counter
from pathlib import Path
from typing import Any

from soco_mm.coco.files import clean_name
from soco_mm.errors import UsageError
from soco_mm.utils.image_files import IMAGE_SUFFIXES

SCORE = 'predicted_iou'
# By which the layout is recognised: no other has them.
MARKS = {SCORE, 'stability_score'}


def is_masks(content: Any) -> bool:
    """Whether a JSON holds the masks of one image.

    Either as in SA-1B, ``{"image": {...}, "annotations": [...]}``, or the list that
    ``SamAutomaticMaskGenerator.generate`` returns.

    Example:
        >>> from soco_mm.proposals.box_files.masks_json import is_masks
        >>> is_masks([dict(bbox=[1, 2, 3, 4], predicted_iou=0.9, area=12)])
        True
        >>> is_masks([dict(bbox=[1, 2, 3, 4], image_id=3, score=0.9)])
        False
    """
    if isinstance(content, dict):
        return isinstance(content.get('image'), dict) and 'annotations' in content
    return (
        isinstance(content, list)
        and bool(content)
        and isinstance(content[0], dict)
        and bool(MARKS & content[0].keys())
    )


def read_masks(
    path: Path, content: Any, score_thr: float | None, left_out: Counter
) -> tuple[str, list, tuple[int, int] | None]:
    """Read the boxes of one image.

    Args:
        path (Path): The file, whose name is that of the image where the content
            does not say it.
        content: What it holds, see :func:`is_masks`.
        score_thr (float, optional): The lowest ``predicted_iou`` of a box that
            is kept.
        left_out (Counter): Numbers of boxes by reason are added to it.

    Returns:
        tuple: The name of the image without folder and suffix; lists of x, y, w
        and h in pixels; and width and height of the image, None if neither the
        file nor its masks say.

    Raises:
        UsageError: If something in it is wrong.
    """
    name, masks = image_of(path), content
    size: tuple[int, int] | None = None
    if isinstance(content, dict):
        image, masks = content['image'], content['annotations']
        given = image.get('file_name')
        if isinstance(given, str):
            name = posixpath.splitext(posixpath.basename(clean_name(given)))[0]
        elif given is not None:
            name = None  # refused below
        sides = image.get('width'), image.get('height')
        if all(isinstance(each, int) and each > 0 for each in sides):
            size = sides
    if not isinstance(name, str) or not isinstance(masks, list):
        raise UsageError(
            f'{path} is not of Segment Anything: "file_name" must be text and '
            '"annotations" a list.'
        )
    boxes = []
    scored = (isinstance(mask, dict) and SCORE in mask for mask in masks)
    if score_thr is not None and masks and not any(scored):
        raise UsageError(f'{path} has no scores. Leave --score-thr out.')
    for number, mask in enumerate(masks):
        if not isinstance(mask, dict) or not isinstance(mask.get('bbox'), list):
            raise UsageError(f'In {path}, mask {number} (from 0) has no "bbox".')
        size = size or size_of_mask(mask.get('segmentation'))
        score = mask.get(SCORE)
        known = score_thr is not None and isinstance(score, (int, float))
        if known and score < score_thr:
            left_out[f'scored below {score_thr:g}'] += 1
            continue
        boxes.append(mask['bbox'])
    return name, boxes, size


def image_of(path: Path) -> str:
    """The name, without suffix, of the image that a file is named after.

    Example:
        >>> from pathlib import Path
        >>> from soco_mm.proposals.box_files.masks_json import image_of
        >>> image_of(Path('masks/scan.v2.json')), image_of(Path('scan.v2.jpg.json'))
        ('scan.v2', 'scan.v2')
    """
    stem, suffix = posixpath.splitext(path.stem)
    return stem if suffix.lower() in IMAGE_SUFFIXES else path.stem


def size_of_mask(mask: Any) -> tuple[int, int] | None:
    """Width and height of the image that a mask is of; None if it does not say.

    RLE has them the other way round.

    Example:
        >>> from soco_mm.proposals.box_files.masks_json import size_of_mask
        >>> size_of_mask(dict(size=[480, 640], counts='abc'))
        (640, 480)
    """
    sides = mask.get('size') if isinstance(mask, dict) else None
    if not isinstance(sides, list) or len(sides) != 2:
        return None
    height, width = sides
    known = all(isinstance(each, int) and each > 0 for each in sides)
    return (width, height) if known else None
