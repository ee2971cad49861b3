from collections.abc import Sequence

import cv2
import numpy as np

from soco_mm.utils import ImageError, read_image
from soco_mm.utils.stretch import Stretch

from .drawing import PAPER, draw_boxes, draw_tags, join, label, object_colors

SIDE = 480  # longest side of an image in the picture, in pixels
OPACITY = 0.4  # of a mask
TAGGED = 12  # named objects per image; more names would hide the objects
LIKELIEST = 5  # predictions that are drawn where all are unlikely


def draw_detections(
    samples: Sequence[dict],
    classes: Sequence[str],
    score_thr: float = 0.3,
    stretch: Stretch = None,
) -> np.ndarray:
    """Draw annotated objects and, next to them, predicted ones.

    If all predictions are unlikely, the five likeliest are drawn. Images that cannot
    be read are left out.

    Args:
        samples (Sequence[dict]): For each image its ``path``; ``boxes``, the
            annotated (x, y, w, h, index of the class); of the predictions
            ``found``, x1 y1 x2 y2, (P, 4), ``scores``, (P,), and ``labels``,
            (P,); and, where there are masks, ``masks`` of the annotated
            objects, (H, W) each, and ``found_masks`` of the predicted ones,
            (P, H, W). All in pixels of the image.
        classes (Sequence[str]): Names of the classes; each has a colour.
        score_thr (float): The lowest score of a likely prediction.
            Defaults to 0.3.
        stretch (tuple, optional): See :func:`soco_mm.utils.read_image`. Defaults to
            None.

    Returns:
        np.ndarray: One row per image, RGB, uint8; a blank one if there are none.
    """
    colors = object_colors(len(classes))
    rows = []
    for sample in samples:
        try:
            image, scale, truth, number = _draw_truth(sample, classes, stretch)
        except ImageError:
            continue
        scores = sample['scores']
        drawn = np.flatnonzero(scores >= score_thr)
        text = f'predicted: {len(drawn)} with a score of {score_thr} or more'
        if not len(drawn) and len(scores):
            drawn = np.argsort(-scores, kind='stable')[:LIKELIEST]
            text += f'; the {len(drawn)} likeliest drawn'
        found, labels = sample['found'][drawn], sample['labels'][drawn]
        masks = sample['found_masks'][drawn] if 'found_masks' in sample else ()
        predicted = _draw(
            image,
            found * scale,
            masks,
            colors[labels],
            [
                f'{classes[index]} {score:.2f}'
                for index, score in zip(labels, scores[drawn])
            ],
        )
        truth = label(truth, f'annotated: {_objects(number)}')
        rows.append(join([truth, label(predicted, text)], 1))
    return _join_rows(rows)


def draw_objects(
    samples: Sequence[dict],
    classes: Sequence[str],
    columns: int = 3,
    stretch: Stretch = None,
) -> np.ndarray:
    """Draw annotated objects; images that cannot be read are left out.

    Args:
        samples (Sequence[dict]): For each image its ``path`` and ``boxes``,
            (x, y, w, h, index of the class) in pixels.
        classes (Sequence[str]): Names of the classes; each has a colour.
        columns (int): Images per row. Defaults to 3.
        stretch (tuple, optional): See :func:`soco_mm.utils.read_image`. Defaults to
            None.

    Returns:
        np.ndarray: The images, RGB, uint8; a blank one if there are none.
    """
    drawn = []
    for sample in samples:
        try:
            picture, number = _draw_truth(sample, classes, stretch)[2:]
        except ImageError:
            continue
        drawn.append(label(picture, f'{sample["path"].name}: {_objects(number)}'))
    rows = [
        join(drawn[start : start + columns], 1)
        for start in range(0, len(drawn), columns)
    ]
    return _join_rows(rows)


def _join_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    return join(rows, 0) if rows else np.full((SIDE, SIDE, 3), PAPER, np.uint8)


def _objects(number: int) -> str:
    return f'{number} object' if number == 1 else f'{number} objects'


def _draw_truth(sample: dict, classes: Sequence[str], stretch: Stretch) -> tuple:
    """The reduced image, its scale, the image with objects, and their number."""
    image = read_image(sample['path'], stretch)
    scale = SIDE / max(image.shape[:2])
    size = [max(1, round(side * scale)) for side in image.shape[1::-1]]
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    boxes = np.float64(sample['boxes']).reshape(-1, 5)
    labels = boxes[:, 4].astype(int)
    boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], 1)
    truth = _draw(
        image,
        boxes * scale,
        sample.get('masks', ()),
        object_colors(len(classes))[labels],
        [classes[index] for index in labels],
    )
    return image, scale, truth, len(boxes)


def _draw(
    image: np.ndarray,
    boxes: np.ndarray,
    masks: Sequence[np.ndarray],
    colors: np.ndarray,
    texts: Sequence[str],
) -> np.ndarray:
    drawn = image.copy()
    for mask, color in zip(masks, colors):
        mask = cv2.resize(
            mask.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_AREA
        )
        inside = mask > 0
        drawn[inside] = (1 - OPACITY) * drawn[inside] + OPACITY * color
        outlines, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, tuple(map(int, color)), 1)
    drawn = draw_boxes(drawn, boxes, colors)
    if len(texts) <= TAGGED:
        draw_tags(drawn, texts, boxes, colors)
    # High images are padded to the width of the others, so that columns align.
    pad = SIDE - drawn.shape[1]
    return np.pad(drawn, [(0, 0), (0, pad), (0, 0)], constant_values=PAPER)
