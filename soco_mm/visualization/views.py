from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from .drawing import (
    draw_boxes,
    draw_dashed_box,
    draw_proposals,
    draw_tags,
    join,
    label,
    object_colors,
)
from .pages import render

ENLARGE = 2  # factor at which the level labels are legible
LINE = 2  # width in pixels


class DrawnView(NamedTuple):
    """What is drawn of one view.

    Attributes:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        boxes (np.ndarray): x1 y1 x2 y2 in pixels of the view, (K, 4); box k
            is object k.
        valid (np.ndarray): Which of them count, bool, (K,).
        levels (Sequence[str]): What is written at each box that counts, such
            as ``P3``; empty for nothing.
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
        view.image, None, fx=ENLARGE, fy=ENLARGE, interpolation=cv2.INTER_NEAREST
    )
    boxes = view.boxes * ENLARGE
    # Valid boxes are drawn last: others may repeat them.
    for k in np.flatnonzero(~view.valid):
        draw_dashed_box(picture, boxes[k], colors[k])
    counting = np.flatnonzero(view.valid)
    for rank, k in enumerate(counting):
        # A later box may coincide with this one, which then shows as its rim.
        distance = np.abs(boxes[counting[rank + 1 :]] - boxes[k])
        over = int((distance <= LINE).all(-1).sum())
        picture = draw_boxes(
            picture, boxes[k : k + 1], colors[k : k + 1], LINE * (1 + 2 * over)
        )
    if view.levels:
        draw_tags(
            picture,
            [view.levels[int(k)] for k in counting],
            boxes[counting],
            colors[counting],
        )
    return picture


def draw_sample(
    image: np.ndarray,
    proposals: np.ndarray,
    views: Sequence[DrawnView],
    max_boxes: int = 12,
) -> np.ndarray:
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
    width, height = (max(1, round(side * factor)) for side in image.shape[1::-1])
    tiles = [draw_proposals(image, proposals, (width, height), max_boxes)]
    for index, view in enumerate(views, 1):
        drawn = draw_view(view, object_colors(len(view.boxes)))
        tiles.append(label(drawn, describe_view(index, view)))
    return join(tiles, axis=1)


def describe_view(number: int, view: DrawnView) -> str:
    """One line on a view: its number, size, and how many objects count."""
    height, width = view.image.shape[:2]
    return (
        f'V{number}, {width}x{height} px, {int(view.valid.sum())} of '
        f'{len(view.valid)} objects'
    )


def render_gallery(
    title: str, text: str, entries: Sequence[tuple[str, str, str]]
) -> str:
    """Write a page that shows pictures below each other.

    Args:
        title (str): Its heading.
        text (str): A paragraph below.
        entries (Sequence[tuple]): File name of each picture, relative to the
            page; heading; and a line on what is seen.

    Returns:
        str: The page, HTML.
    """
    return render('gallery.html.j2', title=title, text=text, entries=entries)
