from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from soco_mm.utils import atomic_write
from soco_mm.utils.texts import printable

HEIGHT = 224  # of a row of pictures, in pixels
GAP = 6
PAPER = 255
INK = (40, 40, 40)
FONT = cv2.FONT_HERSHEY_SIMPLEX
LABEL_SCALE = 0.42
TAG_SCALE = 0.45


def object_colors(num_colors: int) -> np.ndarray:
    """Distinct bright colours, RGB, uint8, (num_colors, 3)."""
    if not num_colors:  # OpenCV refuses an empty array
        return np.zeros((0, 3), np.uint8)
    hsv = np.full((1, num_colors, 3), 255, np.uint8)
    # Steps of the golden ratio keep neighbours far apart.
    hsv[0, :, 0] = (np.arange(num_colors) * 0.618 % 1 * 179).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    colors: np.ndarray | None = None,
    thickness: int = 2,
) -> np.ndarray:
    """Draw boxes on a copy of an image.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        boxes (np.ndarray): x1 y1 x2 y2 in pixels, (P, 4).
        colors (np.ndarray, optional): RGB, (P, 3). Defaults to None, one
            colour per box.
        thickness (int): Of the lines, in pixels. Defaults to 2.

    Returns:
        np.ndarray: The picture.
    """
    image = np.ascontiguousarray(image).copy()
    colors = object_colors(len(boxes)) if colors is None else colors
    for (x1, y1, x2, y2), color in zip(boxes, colors):
        cv2.rectangle(
            image,
            (round(float(x1)), round(float(y1))),
            (round(float(x2)) - 1, round(float(y2)) - 1),
            tuple(map(int, color)),
            thickness,
            cv2.LINE_AA,
        )
    return image


def draw_dashed_box(
    image: np.ndarray, box: np.ndarray, color: np.ndarray, dash: int = 8, gap: int = 6
) -> None:
    """Draw a dashed box on an image, in place.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        box (np.ndarray): x1 y1 x2 y2 in pixels, (4,).
        color (np.ndarray): RGB, (3,).
        dash (int): Approximate length of a dash in pixels; an edge starts and
            ends with one and has two or more. Defaults to 8.
        gap (int): Approximate gap between two, in pixels. Defaults to 6.
    """
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    line = tuple(map(int, color))
    share = gap / (dash + gap)

    def dashes(start: int, stop: int) -> np.ndarray:
        """First and last pixels of the dashes of an edge, (D, 2)."""
        number = max(2, round((stop - start) / (dash + gap) + share))
        period = (stop - start) / (number - share)
        first = start + period * np.arange(number)
        ends = np.stack([first, first + period * (1 - share) - 1], 1)
        return ends.round().astype(int)

    # As wide as the lines of draw_boxes; cv2.line would round the ends, which
    # closes small gaps.
    for first, last in dashes(x1, x2).tolist():
        for y in (y1, y2 - 1):
            cv2.rectangle(image, (first, y - 1), (last, y + 1), line, -1)
    for first, last in dashes(y1, y2).tolist():
        for x in (x1, x2 - 1):
            cv2.rectangle(image, (x - 1, first), (x + 1, last), line, -1)


def draw_tags(
    image: np.ndarray, texts: Sequence[str], boxes: np.ndarray, colors: np.ndarray
) -> None:
    """Write a short text at a corner of each box on an image, in place.

    The first is at the top left of its box, the next at the top right and so
    on, since boxes may coincide; or at the corner where they overlap least.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        texts (Sequence[str]): P texts.
        boxes (np.ndarray): x1 y1 x2 y2 in pixels, (P, 4).
        colors (np.ndarray): Their backgrounds, RGB, (P, 3).
    """
    taken = np.zeros(image.shape[:2], bool)
    texts = [printable(each) for each in texts]
    for index, (text, box, color) in enumerate(zip(texts, boxes, colors)):
        places = [place_tag(image, text, box, (index + turn) % 4) for turn in range(4)]
        place = min(places, key=lambda each: taken[each].sum())
        taken[place] = True
        image[place] = color
        light = np.dot(color, (0.299, 0.587, 0.114)) > 120
        rows, columns = place
        cv2.putText(
            image,
            text,
            (columns.start + 3, rows.stop - 3),
            FONT,
            TAG_SCALE,
            (0, 0, 0) if light else (255, 255, 255),
            1,
            cv2.LINE_AA,
        )


def place_tag(
    image: np.ndarray, text: str, box: np.ndarray, corner: int
) -> tuple[slice, slice]:
    """Find the place of a short text at a corner of a box.

    Inside of the box, or above or below it if the text would cover more than
    a quarter of it; always inside of the image.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        text (str): The text.
        box (np.ndarray): x1 y1 x2 y2 in pixels, (4,).
        corner (int): 0 top left, 1 top right, 2 bottom left, 3 bottom right.

    Returns:
        tuple[slice]: Its rows and columns.
    """
    (width, height), _ = cv2.getTextSize(text, FONT, TAG_SCALE, 1)
    width, height = width + 6, height + 6
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    x = x2 - width if corner % 2 else x1
    y = y2 - height if corner // 2 else y1
    covered = width * height > (x2 - x1) * (y2 - y1) / 4
    if covered or width > x2 - x1 or height > y2 - y1:
        above, below = y1 - height - 1, y2 + 1
        fits = below + height <= image.shape[0]
        y = below if fits and (corner // 2 or above < 0) else above
    x = max(0, min(x, image.shape[1] - width))
    y = max(0, min(y, image.shape[0] - height))
    return slice(y, y + height), slice(x, x + width)


def draw_overview(samples: Sequence[dict], max_boxes: int = 12) -> np.ndarray:
    """Draw images with their proposals, and one object in all views.

    Args:
        samples (Sequence[dict]): For each image ``image``, RGB; ``proposals``,
            (P, 4) in its pixels; ``views``, a list of RGB images; ``boxes``, a
            list of (K, 4) in pixels of the views; ``valid``, a list of bool
            (K,), whether they count in a view. The first box that counts in most
            views is drawn in these.
        max_boxes (int): How many proposals are drawn, evenly picked. Defaults
            to 12.

    Returns:
        np.ndarray: One row per image: the image with proposals, then its
        views.
    """
    rows = []
    for sample in samples:
        image, proposals = sample['image'], sample['proposals']
        factor = HEIGHT / image.shape[0]
        width = int(np.clip(round(image.shape[1] * factor), 40, 2 * HEIGHT))
        tiles = [draw_proposals(image, proposals, (width, HEIGHT), max_boxes)]
        chosen = np.sum(sample['valid'], axis=0).argmax()
        for number, (view, boxes, valid) in enumerate(
            zip(sample['views'], sample['boxes'], sample['valid']), 1
        ):
            box = boxes[[chosen]][valid[[chosen]]]
            drawn = draw_boxes(view, box, np.array([[255, 220, 0]], np.uint8), 3)
            tiles.append(label(drawn, f'V{number}, {view.shape[1]} px'))
        rows.append(join(tiles, axis=1))
    return join(rows, axis=0)


def draw_proposals(
    image: np.ndarray, proposals: np.ndarray, size: tuple[int, int], max_boxes: int
) -> np.ndarray:
    """Draw some of an image's proposals; the line above says how many.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        proposals (np.ndarray): x1 y1 x2 y2 in its pixels, (P, 4).
        size (tuple): Width and height of the image in the picture.
        max_boxes (int): How many proposals are drawn, evenly picked.

    Returns:
        np.ndarray: The picture.
    """
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    number = min(max_boxes, len(proposals))
    picked = np.linspace(0, len(proposals) - 1, number).round().astype(int)
    scale = np.tile(np.divide(size, image.shape[1::-1]), 2)
    some = '' if number == len(proposals) else f', {number} drawn'
    return label(
        draw_boxes(small, proposals[picked] * scale),
        f'{len(proposals)} proposals{some}',
    )


def label(image: np.ndarray, text: str) -> np.ndarray:
    """Put a line of text above an image, which gets as wide as the text."""
    text = printable(text)  # OpenCV ends the process at names that are not UTF-8
    (width, _), _ = cv2.getTextSize(text, FONT, LABEL_SCALE, 1)
    pad = max(0, width + 4 - image.shape[1])
    image = np.pad(image, [(20, 0), (0, pad), (0, 0)], constant_values=PAPER)
    return cv2.putText(image, text, (2, 14), FONT, LABEL_SCALE, INK, 1, cv2.LINE_AA)


def join(images: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Put images side by side (axis 1) or below each other (axis 0)."""
    other = max(image.shape[1 - axis] for image in images)
    padded = []
    for image in images:
        pad = [(GAP, 0), (GAP, 0), (0, 0)]
        pad[1 - axis] = (GAP, other - image.shape[1 - axis])
        padded.append(np.pad(image, pad, constant_values=PAPER))
    return np.concatenate(padded, axis)


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write an RGB image as PNG; it appears whole or not at all."""
    _, data = cv2.imencode('.png', cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    atomic_write(path, data.tobytes())


def encode_jpeg(image: np.ndarray, quality: int = 82) -> bytes:
    """An RGB image as a JPEG."""
    bgr = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode('.jpg', bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return data.tobytes()
