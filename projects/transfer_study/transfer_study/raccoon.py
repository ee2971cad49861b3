"""Raccoons as the study has them: two halves in a random order, made smaller."""

import json
import random
from pathlib import Path

from soco_mm.coco.voc import read_voc_file

from .photos import shrink, to_coco

TRAINING = 100  # photos; the others are for the test
SIDE = 480
QUALITY = 88


def convert_raccoon(clone: Path, folder: Path) -> None:
    """Draw the two sets and make the photos smaller.

    Args:
        clone (Path): A clone of datitran/raccoon_dataset.
        folder (Path): The folder to fill.
    """
    (folder / 'images').mkdir()
    names = sorted(each.stem for each in (clone / 'annotations').glob('*.xml'))
    random.Random(0).shuffle(names)
    for split, part in (('train', names[:TRAINING]), ('val', names[TRAINING:])):
        photos = []
        for name in part:
            xml = read_voc_file(clone / 'annotations', f'{name}.xml')
            out = folder / f'images/{name}.jpg'
            photo = shrink(clone / 'images' / xml.file_name, out, SIDE, QUALITY)
            boxes = [
                [corner * photo.scale for corner in each.corners]
                for each in xml.objects
            ]
            photos.append((photo, boxes))
        content = to_coco('raccoon', photos)
        (folder / f'instances_{split}.json').write_text(json.dumps(content))
