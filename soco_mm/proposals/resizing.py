"""Search in a reduced image, and boxes of it in the whole one."""

import cv2
import numpy as np


def limit_side(image: np.ndarray, max_side: int | None) -> np.ndarray:
    """Reduce an image whose longer side is longer than ``max_side``.

    Args:
        image (np.ndarray): uint8, (H, W, 3).
        max_side (int, optional): In pixels; None to leave it as it is.

    Returns:
        np.ndarray: The same, (h, w, 3).
    """
    height, width = image.shape[:2]
    if max_side is None or max(height, width) <= max_side:
        return image
    factor = max_side / max(height, width)
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)


def merge_boxes(xywh: np.ndarray, small: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Boxes of a reduced image in the pixels of the whole one.

    Args:
        xywh (np.ndarray): x, y, width and height in the reduced image, float32,
            (P, 4).
        small (np.ndarray): The reduced image, (h, w, 3).
        image (np.ndarray): The whole image, (H, W, 3).

    Returns:
        np.ndarray: Distinct boxes, x1 y1 x2 y2, float32, (Q, 4), sorted, as
        OpenCV returns them in any order.
    """
    boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1)
    height, width = image.shape[:2]
    boxes *= np.tile([width / small.shape[1], height / small.shape[0]], 2)
    return np.unique(boxes.astype(np.float32), axis=0)
