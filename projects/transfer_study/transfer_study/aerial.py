"""Vehicles from a drone as the study has them: split by flight, made smaller."""

import random
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from soco_mm.coco.yolo import parse_label
from soco_mm.utils import SoCoError

from .photos import Corners, Photo, shrink, to_coco

# Names of the photos of each flight. Twelve more of the largest are left out.
OWN = ('DJI_0010', 'DJI_0012', 'DJI_0019', 'DJI_002[028]', 'DJI_003[01]')
TRAINING = (
    ('MOS*',),
    ('MunichStreet02-*',),
    ('DJI-00760-*',),
    OWN,
    ('DJI_0762-*',),
    ('DJI_0013-*',),
)
TEST = (('DJI_0005-*',), ('harlem-*',))
CLASSES = range(5)  # cars, trucks, buses, minibuses and cyclists: all are vehicles
SIDE = 1024
QUALITY = 85


def convert_aerial(clone: Path, images: Path) -> list[dict]:
    """Draw the order of each flight and make the photos smaller.

    Args:
        clone (Path): A clone of jekhor/aerial-cars-dataset.
        images (Path): The folder to fill with the images; it is there.

    Returns:
        list[dict]: The content of the COCO json of both sets.
    """
    files = {
        each.stem: each
        for each in sorted(clone.iterdir())
        if each.suffix.lower() in ('.jpg', '.png')
        and any(is_of(each.stem, flight) for flight in TRAINING + TEST)
    }
    names = sorted(files)
    random.Random(0).shuffle(names)
    contents = []
    for flights in (TRAINING, TEST):
        photos = []
        for name in (
            each for flight in flights for each in names if is_of(each, flight)
        ):
            photo = shrink(files[name], images / f'{name}.jpg', SIDE, QUALITY)
            photos.append((photo, read_boxes(clone / f'{name}.txt', photo)))
        contents.append(to_coco('vehicle', photos))
    return contents


def is_of(name: str, flight: Sequence[str]) -> bool:
    """Whether a photo is of a flight."""
    return any(fnmatchcase(name, pattern) for pattern in flight)


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
