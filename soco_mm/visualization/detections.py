from typing import Sequence

import cv2
import numpy as np

from soco_mm.utils import read_image
from .drawing import draw_boxes, draw_tags, join, label, object_colors

WIDTH = 480  # of an image in the picture, in pixels


def draw_detections(samples: Sequence[dict],
                    classes: Sequence[str],
                    score_thr: float = 0.3) -> np.ndarray:
    """Draw annotated boxes and, beside them, predicted ones.

    Args:
        samples (Sequence[dict]): For each image its ``path``; ``boxes``, the
            annotated (x, y, w, h, index of the class); and of the predictions
            ``found``, x1 y1 x2 y2, (P, 4), ``scores``, (P,), and ``labels``,
            (P,). All in pixels of the image.
        classes (Sequence[str]): Names of the classes; each has a colour.
        score_thr (float): The least score of a prediction that is drawn.
            Defaults to 0.3.

    Returns:
        np.ndarray: A row an image, RGB, uint8.
    """
    colors = object_colors(len(classes))
    rows = []
    for sample in samples:
        image = read_image(sample['path'])
        scale = WIDTH / image.shape[1]
        image = cv2.resize(
            image, (WIDTH, max(1, round(image.shape[0] * scale))),
            interpolation=cv2.INTER_AREA)
        boxes = np.float64(sample['boxes']).reshape(-1, 5)
        labels = boxes[:, 4].astype(int)
        boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], 1)
        likely = sample['scores'] >= score_thr
        text = (f'predicted: {likely.sum()} with a score of {score_thr} or '
                'more')
        if not likely.any() and len(likely):
            text += f', the highest is {sample["scores"].max():.2f}'
        found, found_labels = sample['found'][likely], sample['labels'][likely]
        truth = _draw(image, boxes * scale, colors[labels],
                      [classes[index] for index in labels])
        predicted = _draw(image, found * scale, colors[found_labels], [
            f'{classes[index]} {score:.2f}' for index, score in zip(
                found_labels, sample['scores'][likely])
        ])
        rows.append(
            join([
                label(truth, f'annotated: {len(boxes)}'),
                label(predicted, text)
            ], 1))
    return join(rows, 0)


def _draw(image: np.ndarray, boxes: np.ndarray, colors: np.ndarray,
          texts: Sequence[str]) -> np.ndarray:
    drawn = draw_boxes(image, boxes, colors)
    draw_tags(drawn, texts, boxes, colors)
    return drawn
