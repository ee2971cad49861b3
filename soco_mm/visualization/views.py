from typing import NamedTuple, Sequence

import cv2
import numpy as np

from .drawing import (draw_boxes, draw_dashed_box, draw_tag, join, label,
                      object_colors)

ENLARGE = 2  # at which the levels can be read


class DrawnView(NamedTuple):
    """What is drawn of one view.

    Attributes:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        boxes (np.ndarray): x1 y1 x2 y2 in pixels of the view, (K, 4); box k
            is object k.
        valid (np.ndarray): Which of them count, bool, (K,).
        levels (Sequence[str]): What is written at each box, such as ``P3``;
            empty for nothing.
    """
    image: np.ndarray
    boxes: np.ndarray
    valid: np.ndarray
    levels: Sequence[str]


def draw_view(view: DrawnView, colors: np.ndarray) -> np.ndarray:
    """Draw a view with its boxes; those that do not count are dashed.

    Args:
        view (DrawnView): The view.
        colors (np.ndarray): Colour of each object, RGB, uint8, (K, 3).

    Returns:
        np.ndarray: The picture, twice as large as the view.
    """
    picture = cv2.resize(
        view.image, None, fx=ENLARGE, fy=ENLARGE,
        interpolation=cv2.INTER_NEAREST)
    boxes = view.boxes * ENLARGE
    # Those that count last: others may repeat them.
    for k in np.flatnonzero(~view.valid):
        draw_dashed_box(picture, boxes[k], colors[k])
    for k in np.flatnonzero(view.valid):
        picture = draw_boxes(picture, boxes[k:k + 1], colors[k:k + 1])
    for k in np.flatnonzero(view.valid):
        if view.levels:
            # At different corners, since boxes may coincide.
            draw_tag(picture, view.levels[k], boxes[k], colors[k], k % 4)
    return picture


def draw_sample(image: np.ndarray,
                proposals: np.ndarray,
                views: Sequence[DrawnView],
                max_boxes: int = 12) -> np.ndarray:
    """Draw an image with its proposals, and its views side by side.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        proposals (np.ndarray): x1 y1 x2 y2 in its pixels, (P, 4).
        views (Sequence[DrawnView]): Its views, at their sizes relative to
            each other.
        max_boxes (int): How many proposals are drawn, evenly picked. Defaults
            to 12.

    Returns:
        np.ndarray: The picture.
    """
    height = ENLARGE * max(view.image.shape[0] for view in views)
    factor = min(height / image.shape[0], 1.6 * height / image.shape[1])
    size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    number = min(max_boxes, len(proposals))
    picked = np.linspace(0, len(proposals) - 1, number).round().astype(int)
    scale = np.tile(np.array(size) / image.shape[1::-1], 2)
    drawn = draw_boxes(small, proposals[picked] * scale)
    some = '' if number == len(proposals) else f', {number} drawn'
    tiles = [label(drawn, f'{len(proposals)} proposals{some}')]
    for index, view in enumerate(views, 1):
        colors = object_colors(len(view.boxes))
        tiles.append(
            label(
                draw_view(view, colors),
                f'V{index}, {view.image.shape[1]} px, '
                f'{int(view.valid.sum())} of {len(view.valid)} objects'))
    return join(tiles, axis=1)
