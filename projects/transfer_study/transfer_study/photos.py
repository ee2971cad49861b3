"""Photos that are made smaller, and their boxes, in COCO format."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

Corners = Sequence[float]  # left, top, right and bottom


class Photo(NamedTuple):
    """A smaller photo.

    Attributes:
        name (str): Of its file.
        width (int): In pixels.
        height (int): In pixels.
        scale (float): Its sides as a share of the original ones.
    """

    name: str
    width: int
    height: int
    scale: float


def shrink(source: Path, out: Path, side: int, quality: int) -> Photo:
    """Save a photo as a JPEG whose longest side is limited.

    Args:
        source (Path): The original.
        out (Path): The file to write.
        side (int): The limit in pixels; smaller photos keep their size.
        quality (int): Of the JPEG.

    Returns:
        Photo: What was written.
    """
    with Image.open(source) as image:
        scale = min(1, side / max(image.size))
        width, height = (round(each * scale) for each in image.size)
        small = image.convert('RGB').resize((width, height), Image.Resampling.LANCZOS)
    small.save(out, quality=quality)
    return Photo(out.name, width, height, scale)


def to_coco(name: str, photos: Sequence[tuple[Photo, Sequence[Corners]]]) -> dict:
    """The content of a COCO json of one class.

    Args:
        name (str): The class.
        photos (Sequence[tuple]): Each with the corners of its boxes in its pixels.
            They are clipped, and rounded to tenths.

    Returns:
        dict: The content.
    """
    images, annotations = [], []
    for id_, (photo, boxes) in enumerate(photos, 1):
        images.append(
            dict(id=id_, file_name=photo.name, width=photo.width, height=photo.height)
        )
        for left, top, right, bottom in boxes:
            x, y = max(0, left), max(0, top)
            width, height = min(right, photo.width) - x, min(bottom, photo.height) - y
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=id_,
                    category_id=1,
                    bbox=[round(each, 1) for each in (x, y, width, height)],
                    area=round(width * height, 1),
                    iscrowd=0,
                )
            )
    return dict(
        images=images, annotations=annotations, categories=[dict(id=1, name=name)]
    )
