"""Boxes in pixels, as a detector is trained with them; others are refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from soco_mm.errors import SoCoError

from .structure import ObjectEntry

Box = tuple[float, float, float, float]

# In pixels; a box that reaches out of its image by no more is not reported.
REACH_TOLERANCE = 1e-3
# Share of the objects: if fewer boxes lie in [0, 1], they are single mistakes,
# and invisible.
MIN_FRACTIONS = 0.01
# Share of the objects that reach out of their image if corners are read as
# sizes; for random corners it is three in four.
MIN_OUTSIDE = 0.25
# Share of the boxes that may not be corners although the others are, such as those
# that were drawn beyond the edge.
MAX_NO_CORNERS = 0.1
# In pixels; boxes from tools that count pixels from 1 reach out by less.
OUTSIDE_TOLERANCE = 2
NAMED = 3  # examples in a sentence


def clip_box(box: Box, width: int, height: int) -> Box | None:
    """A box within its image, None if it is invisible.

    A box inside of the image stays as it is, to the last bit.

    Args:
        box (tuple): x, y, width and height in pixels.
        width (int): Width of the image in pixels.
        height (int): Height of the image in pixels.

    Returns:
        tuple, optional: The same; None if a side of less than a pixel is left,
        which MMDetection does not train with.

    Example:
        >>> from soco_mm.coco.boxes import clip_box
        >>> clip_box((-30, 9, 60, 26), 160, 120)
        (0, 9, 30, 26)
        >>> clip_box((200, 9, 60, 26), 160, 120) is None
        True
    """
    x, y, w, h = box
    if x < 0:
        x, w = 0, w + x
    if y < 0:
        y, h = 0, h + y
    w = width - x if x + w > width else w
    h = height - y if y + h > height else h
    return (x, y, w, h) if w >= 1 and h >= 1 else None


def reaches_out(
    box: Box, width: int, height: int, tolerance: float = REACH_TOLERANCE
) -> bool:
    """Whether a box reaches out of its image by more than ``tolerance`` pixels."""
    x, y, w, h = box
    return max(-x, -y, x + w - width, y + h - height) > tolerance


def check_in_pixels(
    path: str | Path,
    objects: Sequence[ObjectEntry],
    sizes: Sequence[tuple[int, int]] | Mapping[int, tuple[int, int]],
) -> None:
    """Refuse boxes that are not x, y, width and height in pixels.

    Args:
        path (str | Path): Their file, for the message.
        objects (Sequence[ObjectEntry]): The objects.
        sizes (Sequence | Mapping): Width and height of each image in pixels.

    Raises:
        SoCoError: If they look like fractions of their images, or like two
            corners.
    """
    fractions = [each for each in objects if is_fraction(each.box)]
    if len(fractions) > MIN_FRACTIONS * len(objects):
        raise SoCoError(
            f'{path}: {len(fractions)} of {len(objects)} boxes look '
            f'normalised: {name_some(fractions)}, such as '
            f'{list(fractions[0].box)} on an image of '
            f'{sizes[fractions[0].image][0]}x{sizes[fractions[0].image][1]}. '
            'Give x, y, width and height in pixels.'
        )
    objects = [each for each in objects if min(each.box[2:]) > 0]
    corners = [each for each in objects if is_corners(each.box, *sizes[each.image])]
    if len(corners) < (1 - MAX_NO_CORNERS) * len(objects) or not corners:
        return
    noted = [each for each in objects if each.area is not None]
    if sum(map(has_area_of_sides, noted)) > len(noted) / 2:
        return
    outside = [
        each
        for each in corners
        if reaches_out(each.box, *sizes[each.image], tolerance=OUTSIDE_TOLERANCE)
    ]
    reason = ''
    if are_corners(len(objects), len(corners), len(outside)):
        reason = f'{len(outside)} reach out of their image as x, y, width and height'
    elif noted and (
        sum(map(has_area_of_corners, noted)) >= (1 - MAX_NO_CORNERS) * len(noted)
    ):
        reason = 'their areas are those of corners'
    if reason:
        raise SoCoError(
            f'{path}: {len(corners)} of {len(objects)} boxes look like two '
            f'corners x1, y1, x2, y2, and {reason}: '
            f'{name_some(outside or corners)}. Give x, y, width and height '
            'in pixels.'
        )


def are_corners(number: int, corners: int, outside: int) -> bool:
    """Whether boxes are two corners each, and not what they are read as.

    Args:
        number (int): How many boxes there are.
        corners (int): How many can be corners.
        outside (int): How many reach out of their image as they are read.
    """
    return (
        number > 1
        and corners >= (1 - MAX_NO_CORNERS) * number
        and outside > MIN_OUTSIDE * number
    )


def is_fraction(box: Box) -> bool:
    """Whether a box looks like fractions of its image, from 0 to 1."""
    return (
        min(box[2:]) > 0
        and all(0 <= each <= 1 for each in box)
        and any(0 < each < 1 for each in box)
    )


def is_corners(box: Box, width: int, height: int) -> bool:
    """Whether a box can be two corners in its image; a pixel is rounding."""
    x1, y1, x2, y2 = box
    return (-1 <= x1 < x2 <= width + 1) and (-1 <= y1 < y2 <= height + 1)


def has_area_of_sides(each: ObjectEntry) -> bool:
    """Whether the given area is width times height."""
    return abs(each.box[2] * each.box[3] - each.area) <= max(1, 0.01 * each.area)


def has_area_of_corners(each: ObjectEntry) -> bool:
    """Whether the given area is right only for corners."""
    x1, y1, x2, y2 = each.box
    return not has_area_of_sides(each) and abs(
        (x2 - x1) * (y2 - y1) - each.area
    ) <= max(1, 0.01 * each.area)


def name_some(objects: list[ObjectEntry]) -> str:
    """The first of some objects, by number and id."""
    more = ', ...' if len(objects) > NAMED else ''
    return ', '.join(map(str, objects[:NAMED])) + more
