"""Pictures of proposals, for their report."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soco_mm.proposals import ProposalStore
from soco_mm.utils import ImageError, read_image
from soco_mm.visualization.proposal_report import Picture, draw_picture

FEWEST = 8
SHEET = 24


def _draw_galleries(store: ProposalStore, folder) -> tuple:
    """Pictures by heading, and why there are none."""
    if folder is None:
        return {}, 'The store does not say where the images are.'
    if not Path(folder).is_dir():
        return {}, (
            f'There is no folder {folder} here, so no image is shown. '
            'Name the folder of the images with --images.'
        )
    numbers = np.diff(store.arrays['offsets'])
    fewest = np.argsort(numbers, kind='stable')[:FEWEST]
    picked = np.linspace(0, len(store) - 1, min(SHEET, len(store)))
    return {
        'Fewest boxes': _draw(store, folder, fewest),
        'Contact sheet': _draw(store, folder, picked.round().astype(int)),
    }, ''


def _draw(
    store: ProposalStore, folder: str | Path, indices: Sequence[int]
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
