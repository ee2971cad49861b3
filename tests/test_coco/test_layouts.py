"""A detector that finds every object, evaluated on copies in other layouts."""

import importlib.util
import json
from pathlib import Path

import pytest
from label_layouts import names_of, write_voc, write_yolo

from soco_mm.coco import read_annotations

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / 'shared'
TOOL = ROOT / 'tools/analysis_tools/perfect_detector.py'
spec = importlib.util.spec_from_file_location('perfect_detector', TOOL)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)


def copies(path, images, folder):
    """The same objects, read of a YOLO data set and of Pascal VOC."""
    content = json.loads(path.read_text())
    polygons = all(
        isinstance(each.get('segmentation'), list) for each in content['annotations']
    )
    write_yolo(folder / 'yolo', content, images, polygons=polygons)
    (folder / 'yolo/data.yaml').write_text('train: images/train\n' + names_of(content))
    write_voc(folder / 'voc', content, images)
    # With the names that the images have in the COCO json.
    yield read_annotations(folder / 'yolo', folder / 'yolo/images/train')
    yield read_annotations(folder / 'voc')


@pytest.mark.parametrize(
    'name, images',
    [
        ('data/bccd/instances_val.json', 'data/bccd/images'),
        ('data/raccoon/instances_val.json', 'data/raccoon/images'),
        ('data/aerial/instances_val.json', 'data/aerial/images'),
        ('field/07-boxes-out-of-image/val.json', 'field/07-boxes-out-of-image/img'),
    ],
)
def test_a_perfect_detector_has_an_ap_of_1(name, images, tmp_path):
    if not (SHARED / name).is_file():
        pytest.skip(f'{SHARED / name} is not there')
    for read in copies(SHARED / name, SHARED / images, tmp_path):
        assert tool.evaluate_perfect(SHARED / name, read) == dict(bbox=1)


def test_a_perfect_detector_has_an_ap_of_1_for_polygons(tmp_path):
    content = json.loads((ROOT / 'demo/instances.json').read_text())
    content['annotations'] = [
        each
        for each in content['annotations']
        if isinstance(each['segmentation'], list)
    ]
    path = tmp_path / 'polygons.json'
    path.write_text(json.dumps(content))
    yolo, voc = copies(path, ROOT / 'demo/images', tmp_path)
    assert tool.evaluate_perfect(path, yolo) == dict(bbox=1, segm=1)
    assert tool.evaluate_perfect(path, voc) == dict(bbox=1)
