from collections import Counter

import numpy as np

from soco_mm.coco.boxes import OUTSIDE_TOLERANCE

CLIP_TOLERANCE = 1e-3  # of a pixel; a box that reaches out by no more is not reported


def to_corners(xywh: list) -> np.ndarray:
    """Convert boxes as JSON has them.

    Args:
        xywh (list): Lists of x, y, w, h.

    Returns:
        np.ndarray: x1 y1 x2 y2, float64, (P, 4).

    Raises:
        ValueError: If one of them is not four finite numbers.
    """
    if not xywh:
        return np.zeros((0, 4))
    try:
        array = np.array(xywh)
    except ValueError:  # of different lengths
        array = np.zeros(0)
    # With a text or a null among them NumPy would make an array of texts or
    # objects.
    if (
        array.dtype.kind not in 'iuf'
        or array.shape != (len(xywh), 4)
        or not np.isfinite(array).all()
    ):
        raise ValueError('a box is not four finite numbers x, y, w, h')
    array = array.astype(np.float64)
    array[:, 2:] += array[:, :2]
    return array


def count_fractions(boxes: np.ndarray) -> int:
    """Number of boxes that look like fractions of their image.

    Args:
        boxes (np.ndarray): x1 y1 x2 y2, (P, 4).

    Returns:
        int: Those whose x, y, width and height are from 0 to 1, as
        :func:`soco_mm.coco.boxes.is_fraction` has it.

    Example:
        >>> import numpy as np
        >>> from soco_mm.proposals.box_files.boxes import count_fractions
        >>> count_fractions(np.array([[0.5, 0.5, 1.25, 1.0], [0, 0, 1, 1]]))
        1
    """
    sides = boxes[:, 2:] - boxes[:, :2]
    numbers = np.hstack([boxes[:, :2], sides])
    inside = ((numbers >= 0) & (numbers <= 1)).all(1) & (sides > 0).all(1)
    return int((inside & ((numbers > 0) & (numbers < 1)).any(1)).sum())


def count_corners(boxes: np.ndarray, width: int, height: int) -> tuple[int, int]:
    """Number of boxes of which x, y, width and height look like two corners.

    Args:
        boxes (np.ndarray): x1 y1 x2 y2, (P, 4).
        width (int): Width of the image in pixels.
        height (int): Height of the image in pixels.

    Returns:
        tuple: Those that can be corners, as :func:`soco_mm.coco.boxes.is_corners` has
        it, and those that reach out of the image as they are.

    Example:
        >>> import numpy as np
        >>> from soco_mm.proposals.box_files.boxes import count_corners
        >>> count_corners(np.array([[50, 50, 130, 130], [5, 5, 9, 9]]), 100, 100)
        (1, 1)
    """
    size = np.array([width, height])
    low, second = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    corners = (low >= -1) & (low < second) & (second <= size + 1)
    outside = (low < -OUTSIDE_TOLERANCE) | (boxes[:, 2:] > size + OUTSIDE_TOLERANCE)
    return int(corners.all(1).sum()), int(outside.any(1).sum())


def clip_boxes(
    boxes: np.ndarray, width: int, height: int, changed: Counter
) -> np.ndarray:
    """Clip boxes to their image and drop repeated ones, as a store holds them.

    Args:
        boxes (np.ndarray): x1 y1 x2 y2 in pixels, float64, (P, 4).
        width (int): Width of the image in pixels.
        height (int): Height of the image in pixels.
        changed (Counter): The numbers of boxes that were ``clipped``, or left
            out as ``without area`` or ``repeated``, are added to it.

    Returns:
        np.ndarray: Distinct boxes within the image, float32, (Q, 4), sorted.
    """
    clipped = np.clip(boxes, 0, [width, height, width, height])
    inside = clipped.astype(np.float32)
    kept = (inside[:, :2] < inside[:, 2:]).all(1)
    distinct = np.unique(inside[kept], axis=0)
    moved = ~np.isclose(clipped, boxes, rtol=0, atol=CLIP_TOLERANCE).all(1)
    changed['clipped'] += int(moved[kept].sum())
    changed['without area'] += len(boxes) - int(kept.sum())
    changed['repeated'] += int(kept.sum()) - len(distinct)
    return distinct
