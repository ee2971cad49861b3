"""Vehicles from a drone as the study has them: split by flight, made smaller."""

import json
import random
from fnmatch import fnmatchcase
from pathlib import Path

from soco_mm.coco.yolo import parse_label
from soco_mm.utils import SoCoError

from .photos import Corners, Photo, shrink, to_coco

# Names of the photos, flight by flight. Twelve more of the largest are left out.
OWN = ('DJI_0010', 'DJI_0012', 'DJI_0019', 'DJI_002[028]', 'DJI_003[01]')
FLIGHTS = {
    'train': (
        ('MOS*',),
        ('MunichStreet02-*',),
        ('DJI-00760-*',),
        OWN,
        ('DJI_0762-*',),
        ('DJI_0013-*',),
    ),
    'val': (('DJI_0005-*',), ('harlem-*',)),
}
CLASSES = range(5)  # cars, trucks, buses, minibuses and cyclists: all are vehicles
SIDE = 1024
QUALITY = 85


def convert_aerial(clone: Path, folder: Path) -> None:
    """Draw the order of each flight and make the photos smaller.

    Args:
        clone (Path): A clone of jekhor/aerial-cars-dataset.
        folder (Path): The folder to fill.
    """
    (folder / 'images').mkdir()
    patterns = [each for flights in FLIGHTS.values() for each in sum(flights, ())]
    files = {
        each.stem: each
        for each in sorted(clone.iterdir())
        if each.suffix.lower() in ('.jpg', '.png')
        and any(fnmatchcase(each.stem, pattern) for pattern in patterns)
    }
    names = sorted(files)
    random.Random(0).shuffle(names)
    for split, flights in FLIGHTS.items():
        photos = []
        for flight in flights:
            for name in names:
                if any(fnmatchcase(name, pattern) for pattern in flight):
                    out = folder / f'images/{name}.jpg'
                    photo = shrink(files[name], out, SIDE, QUALITY)
                    boxes = read_boxes(clone / f'{name}.txt', photo)
                    photos.append((photo, boxes))
        content = to_coco('vehicle', photos)
        (folder / f'instances_{split}.json').write_text(json.dumps(content))


def read_boxes(path: Path, photo: Photo) -> list[Corners]:
    """The corners of YOLO's labels of a photo, in pixels of the smaller one.

    Raises:
        SoCoError: If a line is wrong.
    """
    boxes: list[Corners] = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            x, y, width, height = parse_label(line.split(), number, CLASSES).box
        except ValueError as error:
            raise SoCoError(f'{path}:{number}: {error}') from None
        left, right = ((x + side * width / 2) * photo.width for side in (-1, 1))
        top, bottom = ((y + side * height / 2) * photo.height for side in (-1, 1))
        boxes.append((left, top, right, bottom))
    return boxes
