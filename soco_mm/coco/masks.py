"""Masks of objects: polygons, and run lengths (RLE)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as mask_tools

from .values import to_number

# A polygon inside its image with this area, in pixels, covers at least one pixel.
SURE_AREA = 4


def read_mask(mask: Any, height: int, width: int) -> list | dict | None:
    """The usable part of a segmentation: polygons, or RLE.

    Polygons are lists of numbers x, y, x, y, ...; a single one need not be
    in a list of its own, points may be pairs, and numbers may be text.
    Polygons of fewer than three points, which have no area, are left out.

    Args:
        mask: What the file holds.
        height (int): Height of the image in pixels.
        width (int): Width of the image in pixels.

    Returns:
        list | dict | None: Polygons or RLE that cover at least one pixel;
        None if there is no mask, which an empty list or dict means too.

    Raises:
        ValueError: If there is a mask that cannot be read; the text says why.
    """
    far = 10 * max(height, width) + 1000
    if mask in (None, [], {}, '', [[]]):
        return None
    if isinstance(mask, dict):
        mask = read_rle(mask, height, width)
    elif isinstance(mask, list):
        mask = read_polygons(mask)
    else:
        raise ValueError('it is neither a list of polygons nor RLE')
    # pycocotools takes memory for the length of each edge; if there is not
    # enough, the process ends.
    if isinstance(mask, list) and max(max(map(abs, polygon)) for polygon in mask) > far:
        raise ValueError('a point of it lies far outside of the image')
    if not covers_pixel(mask, height, width):
        raise ValueError('it covers no pixel of the image')
    return mask


def read_polygons(mask: list) -> list[list[float]]:
    """Polygons as MMDetection has them, [x, y, x, y, ...] each.

    Raises:
        ValueError: If one cannot be read, or none has three points.
    """
    if not all(isinstance(each, list) for each in mask):
        mask = [mask]  # a flat list is one polygon
    elif all(is_point(each) for each in mask):
        mask = [mask]  # one polygon of points
    polygons = []
    for polygon in mask:
        if polygon and all(isinstance(each, list) for each in polygon):
            polygon = [value for point in polygon for value in point]
        if len(polygon) % 2:
            raise ValueError(
                f'a polygon has {len(polygon)} numbers, which are not pairs'
            )
        if not is_plain(polygon):
            polygon = list(map(to_number, polygon))
        if len(polygon) >= 6:
            polygons.append(polygon)
    if not polygons:
        raise ValueError('no polygon has three points')
    return polygons


def is_plain(polygon: list) -> bool:
    """Whether all are finite numbers already, as nearly always."""
    try:
        return set(map(type, polygon)) <= {int, float} and abs(sum(polygon)) < math.inf
    except OverflowError:  # an integer of hundreds of digits
        return False


def is_point(value: list) -> bool:
    """Whether a list is one point, x and y."""
    return len(value) == 2 and not any(isinstance(v, list) for v in value)


def read_rle(mask: dict, height: int, width: int) -> dict:
    """RLE of an image of this height and width.

    pycocotools fills an image up with whatever is in memory if the runs are
    too short.

    Raises:
        ValueError: If it is not an RLE of this size.
    """
    size, counts = mask.get('size'), mask.get('counts')
    try:
        size = list(map(to_number, size))
    except (TypeError, ValueError):
        raise ValueError(f'its RLE has the size {size!r}') from None
    if size != [height, width]:
        raise ValueError(
            f'its RLE is for a height and width of {size}, the '
            f'image has {[height, width]}'
        )
    runs = run_lengths(counts) if isinstance(counts, str) else counts
    if not (
        isinstance(runs, list)
        and all(type(each) is int and each >= 0 for each in runs)
        and sum(runs) == height * width
    ):
        raise ValueError('the runs of its RLE do not make up the image')
    return dict(size=[height, width], counts=counts)


def covers_pixel(mask: list | dict, height: int, width: int) -> bool:
    """Whether a mask covers a pixel of its image, so that it can be found."""
    if isinstance(mask, dict):
        runs = mask['counts']
        if isinstance(runs, str):
            runs = run_lengths(runs)
        return sum(runs[1::2]) > 0
    for polygon in mask:
        x, y = polygon[::2], polygon[1::2]
        if (
            min(x) >= 0
            and min(y) >= 0
            and max(x) <= width
            and max(y) <= height
            and polygon_area(x, y) >= SURE_AREA
        ):
            return True
    return bool(decode_mask(mask, height, width).any())


def lies_outside(mask: list | dict, box: Sequence[float]) -> bool:
    """Whether a mask and a box (x, y, w, h) have no point in common.

    Example:
        >>> from soco_mm.coco.masks import lies_outside
        >>> triangle = [[10, 10, 20, 10, 20, 20]]
        >>> lies_outside(triangle, (15, 5, 9, 9)), lies_outside(triangle, (30, 5, 9, 9))
        (False, True)
    """
    x, y, w, h = box
    if isinstance(mask, list):
        xs = [value for polygon in mask for value in polygon[::2]]
        ys = [value for polygon in mask for value in polygon[1::2]]
        left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
    else:
        rle = compress(mask, *mask['size'])
        left, top, width, height = mask_tools.toBbox(rle).tolist()
        right, bottom = left + width, top + height
    return left >= x + w or right <= x or top >= y + h or bottom <= y


def polygon_area(x: Sequence[float], y: Sequence[float]) -> float:
    """Area of a polygon, by the shoelace formula."""
    area, before_x, before_y = 0.0, x[-1], y[-1]
    for this_x, this_y in zip(x, y):
        area += before_x * this_y - this_x * before_y
        before_x, before_y = this_x, this_y
    return abs(area) / 2


def decode_mask(mask: list | dict, height: int, width: int) -> np.ndarray:
    """The pixels of an object, of polygons or RLE, (height, width), uint8."""
    return mask_tools.decode(compress(mask, height, width))


def compress(mask: list | dict, height: int, width: int) -> dict:
    """Polygons or RLE as a compressed RLE, with which pycocotools computes."""
    if isinstance(mask, list):
        return mask_tools.merge(mask_tools.frPyObjects(mask, height, width))
    if isinstance(mask['counts'], list):
        return mask_tools.frPyObjects(mask, height, width)
    return mask


def run_lengths(counts: str) -> list[int]:
    """Read a compressed RLE as pycocotools does.

    Each character holds five bits of a number, and whether more bits follow.
    The numbers are lengths of runs; from the fourth on, each is stored as the
    difference to the run two before it.

    Returns:
        list[int]: The runs, alternately outside and inside of the object;
        none if it is not an RLE.
    """
    runs: list[int] = []
    value = shift = 0
    for byte in counts.encode():
        bits = byte - 48
        if not 0 <= bits < 64:
            return []
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return [] if shift else runs


def box_polygon(box: Sequence[float]) -> list[list[float]]:
    """The outline of a box (x, y, w, h) as a mask."""
    x, y, w, h = box
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]
