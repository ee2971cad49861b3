from pathlib import Path
from typing import Optional, Sequence, Union

import cv2
import numpy as np

from soco_mm.utils import atomic_write

HEIGHT = 224  # of a row of pictures, in pixels
GAP = 6
PAPER = 255
INK = (40, 40, 40)
FONT = cv2.FONT_HERSHEY_SIMPLEX
TAG_SCALE = 0.45


def object_colors(number: int) -> np.ndarray:
    """Distinct bright colours, RGB, uint8, (number, 3)."""
    hsv = np.full((1, number, 3), 255, np.uint8)
    # Steps of the golden ratio keep neighbours far apart.
    hsv[0, :, 0] = (np.arange(number) * 0.618 % 1 * 179).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]


def draw_boxes(image: np.ndarray,
               boxes: np.ndarray,
               colors: Optional[np.ndarray] = None,
               thickness: int = 2) -> np.ndarray:
    """Draw boxes on a copy of an image.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        boxes (np.ndarray): x1 y1 x2 y2 in pixels, (P, 4).
        colors (np.ndarray, optional): RGB, (P, 3). Defaults to None, a colour
            a box.
        thickness (int): Of the lines, in pixels. Defaults to 2.

    Returns:
        np.ndarray: The picture.
    """
    image = np.ascontiguousarray(image).copy()
    colors = object_colors(len(boxes)) if colors is None else colors
    for (x1, y1, x2, y2), color in zip(boxes, colors):
        cv2.rectangle(image, (round(float(x1)), round(float(y1))),
                      (round(float(x2)) - 1, round(float(y2)) - 1),
                      tuple(map(int, color)), thickness, cv2.LINE_AA)
    return image


def draw_dashed_box(image: np.ndarray,
                    box: np.ndarray,
                    color: np.ndarray,
                    dash: int = 8,
                    gap: int = 6) -> None:
    """Draw a dashed box on an image, in place.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        box (np.ndarray): x1 y1 x2 y2 in pixels, (4,).
        color (np.ndarray): RGB, (3,).
        dash (int): Length of a dash in pixels. Defaults to 8.
        gap (int): Pixels between two. Defaults to 6.
    """
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    color = tuple(map(int, color))
    for x in range(x1, x2, dash + gap):
        end = min(x + dash, x2) - 1
        for y in (y1, y2 - 1):
            cv2.line(image, (x, y), (end, y), color, 2)
    for y in range(y1, y2, dash + gap):
        end = min(y + dash, y2) - 1
        for x in (x1, x2 - 1):
            cv2.line(image, (x, y), (x, end), color, 2)


def draw_tag(image: np.ndarray,
             text: str,
             box: np.ndarray,
             color: np.ndarray,
             corner: int = 0) -> None:
    """Write a short text into a corner of a box on an image, in place.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        text (str): The text.
        box (np.ndarray): x1 y1 x2 y2 in pixels, (4,).
        color (np.ndarray): Its background, RGB, (3,).
        corner (int): 0 top left, 1 top right, 2 bottom left, 3 bottom right.
            Defaults to 0.
    """
    (width, height), _ = cv2.getTextSize(text, FONT, TAG_SCALE, 1)
    width, height = width + 6, height + 6
    # Inside of the image, also where the box is smaller than the text.
    x = box[2] - width if corner % 2 else box[0]
    y = box[3] - height if corner // 2 else box[1]
    x = int(np.clip(round(float(x)), 0, image.shape[1] - width))
    y = int(np.clip(round(float(y)), 0, image.shape[0] - height))
    image[y:y + height, x:x + width] = color
    light = np.dot(color, (0.299, 0.587, 0.114)) > 120
    cv2.putText(image, text, (x + 3, y + height - 3), FONT, TAG_SCALE,
                (0, 0, 0) if light else (255, 255, 255), 1, cv2.LINE_AA)


def draw_overview(samples: Sequence[dict], max_boxes: int = 12) -> np.ndarray:
    """Draw images with their proposals, and one object in all views.

    Args:
        samples (Sequence[dict]): For each image ``image``, RGB; ``proposals``,
            (P, 4) in its pixels; ``views``, a list of RGB images; ``boxes``, a
            list of (K, 4) in pixels of the views, of which the first is
            drawn.
        max_boxes (int): How many proposals are drawn, evenly picked. Defaults
            to 12.

    Returns:
        np.ndarray: A row an image: the image with proposals, then its views.
    """
    rows = []
    for sample in samples:
        image, proposals = sample['image'], sample['proposals']
        factor = HEIGHT / image.shape[0]
        width = int(np.clip(round(image.shape[1] * factor), 40, 2 * HEIGHT))
        scale = np.tile([width / image.shape[1], factor], 2)
        small = cv2.resize(
            image, (width, HEIGHT), interpolation=cv2.INTER_AREA)
        picked = np.unique(
            np.linspace(0,
                        len(proposals) - 1,
                        min(max_boxes, len(proposals))).round().astype(int))
        tiles = [
            label(
                draw_boxes(small, proposals[picked] * scale),
                f'{len(proposals)} proposals')
        ]
        for number, (view, boxes) in enumerate(
                zip(sample['views'], sample['boxes']), 1):
            drawn = draw_boxes(view, boxes[:1], np.uint8([[255, 220, 0]]), 3)
            tiles.append(label(drawn, f'V{number}, {view.shape[1]} px'))
        rows.append(join(tiles, axis=1))
    return join(rows, axis=0)


def label(image: np.ndarray, text: str) -> np.ndarray:
    """Put a line of text above an image."""
    strip = np.full((20, image.shape[1], 3), PAPER, np.uint8)
    cv2.putText(strip, text, (2, 14), FONT, 0.42, INK, 1,
                cv2.LINE_AA)
    return np.concatenate([strip, image])


def join(images: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Put images side by side (axis 1) or below each other (axis 0)."""
    other = max(image.shape[1 - axis] for image in images)
    padded = []
    for image in images:
        pad = [(GAP, 0), (GAP, 0), (0, 0)]
        pad[1 - axis] = (GAP, other - image.shape[1 - axis])
        padded.append(np.pad(image, pad, constant_values=PAPER))
    return np.concatenate(padded, axis)


def write_png(path: Union[str, Path], image: np.ndarray) -> None:
    """Write an RGB image as PNG; it appears whole or not at all."""
    _, data = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    atomic_write(path, data.tobytes())
