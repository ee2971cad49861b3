"""Raccoons as the study has them: two halves in a random order, made smaller."""

import random
from pathlib import Path

from soco_mm.coco.voc import read_voc_file

from .photos import shrink, to_coco

TRAINING = 100  # photos; the others are for the test
SIDE = 480
QUALITY = 88


def convert_raccoon(clone: Path, images: Path) -> list[dict]:
    """Draw the two sets and make the photos smaller.

    Args:
        clone (Path): A clone of datitran/raccoon_dataset.
        images (Path): The folder to fill with the images; it is there.

    Returns:
        list[dict]: The content of the COCO json of both sets.
    """
    names = sorted(each.stem for each in (clone / 'annotations').glob('*.xml'))
    random.Random(0).shuffle(names)
    contents = []
    for part in (names[:TRAINING], names[TRAINING:]):
        photos = []
        for name in part:
            xml = read_voc_file(clone / 'annotations', f'{name}.xml')
            original = clone / 'images' / xml.file_name
            photo = shrink(original, images / f'{name}.jpg', SIDE, QUALITY)
            boxes = [
                [corner * photo.scale for corner in each.corners]
                for each in xml.objects
            ]
            photos.append((photo, boxes))
        contents.append(to_coco('raccoon', photos))
    return contents
