"""Blood cells as the study has them: Pascal VOC's annotations in COCO format."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from soco_mm.coco.voc import read_voc_file

CLASSES = ('RBC', 'WBC', 'Platelets')


def convert_bccd(clone: Path, images: Path) -> list[dict]:
    """Convert the training and the test set, and copy the images.

    Corners are taken as they are, boxes without area left out.

    Args:
        clone (Path): A clone of Shenggan/BCCD_Dataset.
        images (Path): The folder to fill with the images; it is there.

    Returns:
        list[dict]: The content of the COCO json of both sets.
    """
    source = clone / 'BCCD'
    shutil.copytree(source / 'JPEGImages', images, dirs_exist_ok=True)
    lists = [source / f'ImageSets/Main/{split}.txt' for split in ('train', 'test')]
    return [to_coco(source / 'Annotations', each.read_text().split()) for each in lists]


def to_coco(xmls: Path, names: Sequence[str]) -> dict:
    """The content of a COCO json of some images, whose ids are in their names."""
    images, annotations = [], []
    for name in names:
        xml, id_ = read_voc_file(xmls, f'{name}.xml'), int(name.rpartition('_')[2])
        images.append(
            dict(id=id_, file_name=f'{name}.jpg', width=xml.width, height=xml.height)
        )
        for each in xml.objects:
            x, y, right, bottom = map(float, each.corners)
            width, height = right - x, bottom - y
            if width * height == 0:
                continue
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=id_,
                    category_id=CLASSES.index(each.name) + 1,
                    bbox=[x, y, width, height],
                    area=width * height,
                    iscrowd=0,
                )
            )
    return dict(
        info=dict(description='BCCD blood cells, MIT, github Shenggan/BCCD_Dataset'),
        images=images,
        annotations=annotations,
        categories=[dict(id=id_, name=name) for id_, name in enumerate(CLASSES, 1)],
    )
