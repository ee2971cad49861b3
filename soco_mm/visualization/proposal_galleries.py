"""Pictures of proposals, for their report."""

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from soco_mm.proposals import ProposalStore
from soco_mm.utils import ImageError, read_image

from .drawing import draw_boxes, encode_jpeg

FEWEST = 8
SHEET = 24
PICTURE_SIDE = 360  # pixels of the longer side
DRAWN_BOXES = 16


class Picture(NamedTuple):
    """An image with its boxes, or why it is not shown.

    Attributes:
        path (str): Path of the image.
        boxes (int): Number of its boxes.
        jpeg (bytes): The picture, empty if there is none.
        problem (str): A sentence that says why there is none. Defaults to an
            empty string.
    """

    path: str
    boxes: int
    jpeg: bytes
    problem: str = ''


def draw_picture(image: np.ndarray, boxes: np.ndarray) -> bytes:
    """Draw boxes on a small copy of an image.

    Args:
        image (np.ndarray): RGB, uint8, (H, W, 3).
        boxes (np.ndarray): x1 y1 x2 y2 in its pixels, (P, 4), of which at most
            :data:`DRAWN_BOXES` are drawn, evenly picked.

    Returns:
        bytes: A JPEG.
    """
    height, width = image.shape[:2]
    factor = min(1, PICTURE_SIDE / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    picked = np.linspace(0, len(boxes) - 1, min(DRAWN_BOXES, len(boxes)))
    scale = np.tile([size[0] / width, size[1] / height], 2)
    return encode_jpeg(draw_boxes(small, boxes[picked.round().astype(int)] * scale))


def draw_galleries(
    store: ProposalStore, folder: str | Path | None
) -> tuple[dict[str, list[Picture]], str]:
    """Draw the images with the fewest boxes, and a selection of all.

    Args:
        store (ProposalStore): Proposals of one image or more.
        folder (str | Path, optional): The folder of the images.

    Returns:
        tuple: Pictures by their headings, and a sentence that says why there
        are none, empty if there are some.
    """
    if folder is None:
        return {}, 'The store does not say where the images are.'
    if not Path(folder).is_dir():
        return {}, (
            f'There is no folder {folder} here, so no image is shown. '
            'Give the folder of the images with --images.'
        )
    numbers = np.diff(store.arrays['offsets'])
    fewest = np.argsort(numbers, kind='stable')[:FEWEST]
    picked = np.linspace(0, len(store) - 1, min(SHEET, len(store)))
    pictures = {
        'Fewest boxes': _draw(store, folder, fewest),
        'Contact sheet': _draw(store, folder, picked.round().astype(int)),
    }
    if not any(each.jpeg for drawn in pictures.values() for each in drawn):
        return {}, (
            f'None of the images can be read in {folder}, so none is shown. Give the '
            'folder of the images with --images.'
        )
    return pictures, ''


def _draw(
    store: ProposalStore, folder: str | Path, indices: np.ndarray
) -> list[Picture]:
    pictures, stretch = [], store.header.get('stretch')
    for index in indices:
        path, boxes = store.path(index), store.boxes(index)
        try:
            image = read_image(Path(folder) / path, stretch)
            size, known = image.shape[1::-1], store.size(index)
            if size != known:
                raise ImageError(
                    f'has changed: it is {size[0]}x{size[1]} pixels large, '
                    f'but was {known[0]}x{known[1]}'
                )
            pictures.append(Picture(path, len(boxes), draw_picture(image, boxes)))
        except ImageError as error:
            pictures.append(Picture(path, len(boxes), b'', f'The image {error}.'))
    return pictures
