"""Blood cells as the study has them: Pascal VOC's annotations in COCO format."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from soco_mm.coco.voc import read_voc_file
from soco_mm.utils import SoCoError, UsageError, atomic_folder

from .data import hash_files

CLASSES = ('RBC', 'WBC', 'Platelets')
HASH = '6839d152f08b'  # of the annotations of both sets


def prepare_bccd(clone: Path, data: Path) -> Path:
    """Convert the training and the test set, and copy the images.

    Corners are taken as they are, boxes without area left out.

    Args:
        clone (Path): A clone of Shenggan/BCCD_Dataset.
        data (Path): The folder of the data sets.

    Returns:
        Path: The folder ``bccd`` in it.

    Raises:
        UsageError: If it is not such a clone, or the folder is there already.
        SoCoError: If the annotations are not those of the study.
    """
    source, out = clone / 'BCCD', data / 'bccd'
    if not (source / 'JPEGImages').is_dir():
        raise UsageError(
            f'{clone} has no BCCD/JPEGImages. Give a clone of '
            'https://github.com/Shenggan/BCCD_Dataset.'
        )
    if out.exists():
        raise UsageError(f'{out} is there already. Remove it, or give another folder.')
    with atomic_folder(out) as folder:
        made = []
        for split in ('train', 'test'):
            made.append(folder / f'instances_{split}.json')
            names = (source / f'ImageSets/Main/{split}.txt').read_text().split()
            made[-1].write_text(json.dumps(convert(source / 'Annotations', names)))
        if (found := hash_files(*made)) != HASH:
            raise SoCoError(
                f'The annotations in {clone} are not those of the study: their hash '
                f'is {found}, not {HASH}.'
            )
        shutil.copytree(source / 'JPEGImages', folder / 'images')
    return out


def convert(xmls: Path, names: Sequence[str]) -> dict:
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
