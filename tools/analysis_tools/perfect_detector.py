"""Feed the user's own objects to the evaluator of a run.

For each folder with ``img/``, ``train.json`` and ``val.json`` the annotations
are read as ``soco-mm finetune`` reads them, and the objects of ``val.json``,
as they are in the file but clipped to their images, are given to MMDetection's
evaluator as detections with a score of 1. Whatever is accepted must give an AP
of 1.000.
"""

import contextlib
import io
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmdet.evaluation import CocoMetric
from mmdet.structures.mask import encode_mask_results
from pycocotools import mask as mask_tools

from soco_mm.cli import run
from soco_mm.cli.parser import Parser
from soco_mm.coco import Annotations, read_annotations, write_annotations
from soco_mm.utils import SoCoError

FLAGS = (True, 1, '1', 'true', 'True')


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument('folder', type=Path, help='the folder of the cases')
    args = parser.parse_args()
    rows = [
        check_case(each)
        for each in sorted(args.folder.iterdir())
        if (each / 'val.json').is_file()
    ]
    width = max((len(row['case']) for row in rows), default=0)
    for row in rows:
        aps = '  '.join(f'{kind} {value:.3f}' for kind, value in row['ap'].items())
        print(f'{row["case"]:{width}}  {row["verdict"]:8}  {aps}')
        for line in row['counts']:
            print(f'{"":{width}}  {line}')


def check_case(folder: Path) -> dict:
    """Read the annotations in a folder, and evaluate the perfect detector.

    Args:
        folder (Path): A folder with ``img/``, ``train.json``, ``val.json``.

    Returns:
        dict: ``case``; ``verdict``, accepted or refused; ``ap``, by ``bbox``
        and ``segm``; and ``counts``, lines on what was left out, or the
        sentence of the refusal.
    """
    try:
        train = read_annotations(folder / 'train.json', folder / 'img')
        val = read_annotations(folder / 'val.json', folder / 'img', train.classes)
    except SoCoError as error:
        return dict(case=folder.name, verdict='refused', ap={}, counts=[str(error)])
    return dict(
        case=folder.name,
        verdict='accepted',
        ap=evaluate_perfect(folder / 'val.json', val),
        counts=[
            f'{each.path.name}: {line}'
            for each in (train, val)
            for line in each.account.lines()
        ],
    )


def evaluate_perfect(path: Path, val: Annotations) -> dict[str, float]:
    """AP of a detector that finds the user's objects.

    Args:
        path (Path): The COCO json of the user.
        val (Annotations): What was read of it.

    Returns:
        dict: AP of ``bbox``, and of ``segm`` where there are masks.
    """
    found = user_objects(path, val)
    kinds = ['bbox', 'segm'] if val.masks else ['bbox']
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        copy = replace(val, path=Path(folder) / 'val.json')
        write_annotations(copy)
        metric = CocoMetric(str(copy.path), metric=kinds)
        metric.dataset_meta = dict(classes=val.classes)
        for image in copy.content['images']:
            objects = found.get(image['file_name'], [])
            predicted = dict(
                img_id=image['id'],
                bboxes=np.array([each['box'] for each in objects], float).reshape(
                    -1, 4
                ),
                scores=np.ones(len(objects)),
                labels=np.array([each['label'] for each in objects], int),
            )
            if val.masks:
                masks = [each['mask'] for each in objects]
                predicted['masks'] = encode_mask_results(masks)
            metric.results.append(
                (
                    dict(
                        img_id=image['id'], width=image['width'], height=image['height']
                    ),
                    predicted,
                )
            )
        scores = metric.compute_metrics(metric.results)
    return {kind: scores[f'{kind}_mAP'] for kind in kinds}


def user_objects(path: Path, val: Annotations) -> dict[str, list[dict]]:
    """The objects of a COCO json by file name, read without soco_mm.

    Crowds, ignored objects and those of which less than a pixel is seen are
    not detected; the others are clipped.
    """
    content = json.loads(path.read_bytes())
    images = {str(each['id']): each for each in content['images']}
    names = {str(each['id']): str(each['name']) for each in content['categories']}
    # By the last part, in any letter case.
    files = {
        each['file_name'].split('/')[-1].casefold(): each['file_name']
        for each in val.content['images']
    }
    sizes = {
        each['file_name']: (each['width'], each['height'])
        for each in val.content['images']
    }
    found = {}
    for each in content['annotations']:
        if each.get('iscrowd') in FLAGS or each.get('ignore') in FLAGS:
            continue
        name = images[str(each['image_id'])]['file_name']
        if name not in sizes:
            name = files[name.replace('\\', '/').split('/')[-1].casefold()]
        width, height = sizes[name]
        x, y, w, h = map(float, each['bbox'])
        box = np.clip([x, y, x + w, y + h], 0, [width, height] * 2)
        if (box[2:] - box[:2] < 1).any():
            continue
        found.setdefault(name, []).append(
            dict(
                box=box,
                label=val.classes.index(names[str(each['category_id'])]),
                mask=user_mask(each.get('segmentation'), height, width),
            )
        )
    return found


def user_mask(segmentation, height: int, width: int) -> np.ndarray | None:
    """The pixels of a segmentation, (height, width), None without one."""
    if not segmentation:
        return None
    if isinstance(segmentation, dict):
        if isinstance(segmentation['counts'], list):
            segmentation = mask_tools.frPyObjects(segmentation, height, width)
        return mask_tools.decode(segmentation).astype(bool)
    if not isinstance(segmentation[0], list) or all(
        len(each) == 2 for each in segmentation
    ):
        segmentation = [segmentation]  # one polygon
    segmentation = [
        np.ravel(each).astype(float).tolist() for each in segmentation if len(each) > 2
    ]
    rle = mask_tools.frPyObjects(segmentation, height, width)
    return mask_tools.decode(mask_tools.merge(rle)).astype(bool)


if __name__ == '__main__':
    run(main)
