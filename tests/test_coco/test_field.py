"""Inputs as people have them, and the detector that finds every object."""

import importlib.util
from pathlib import Path

import pytest
from commands import call

from soco_mm.coco import read_annotations

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / 'shared'
FIELD = SHARED / 'field'
TOOL = ROOT / 'tools/analysis_tools/perfect_detector.py'
spec = importlib.util.spec_from_file_location('perfect_detector', TOOL)
tool = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tool)

needs_field = pytest.mark.skipif(not FIELD.is_dir(), reason=f'{FIELD} is not there')
# What is said of train.json, by the start of the line, or of the refusal.
EXPECTED = {
    '01-no-info-gaps': [],
    '02b-mixed-ids': [],
    '03b-string-sizes': [],
    '04-flags-as-text': [],
    '04b-some-flags-as-text': [],
    '05b-cvat-half-crowd': ['3 crowds: not trained with'],
    '06b-roboflow-root': ['1 category without objects'],
    '07-boxes-out-of-image': ['3 boxes that reach out of their image: clip'],
    '07b-zero-area-and-outside': ['9 invisible objects: outside'],
    '08-voc-difficult-ignore': ['3 ignored objects: not trained with'],
    '09-flat-polygons': [],
    '10-windows-paths': ['3 files that are found only by the end of their name'],
    '12-some-boxes-normalised': '4 of 9 boxes look normalised: annotation 0',
    '15-xmp-annotated-as-mmcv-shows': [],
    '15b-xmp-annotated-turned': '120x160 pixels, but it has 160x120',
    '28-same-file-twice': ['3 images that are listed twice: merged'],
}


@needs_field
@pytest.mark.parametrize('name', EXPECTED)
def test_a_perfect_detector_has_an_ap_of_1_on_what_is_accepted(name):
    found = tool.check_case(FIELD / name)
    expected = EXPECTED[name]
    if isinstance(expected, str):
        assert found['verdict'] == 'refused'
        assert expected in found['counts'][0]
        return
    kinds = {'05b-cvat-half-crowd', '09-flat-polygons'}
    assert found['ap'] == dict(bbox=1.0, **(dict(segm=1.0) if name in kinds else {}))
    lines = [
        line.removeprefix('train.json: ')
        for line in found['counts']
        if line.startswith('train')
    ]
    assert len(lines) == len(expected)
    for line, start in zip(lines, expected):
        assert line.startswith(start)


@needs_field
def test_the_table_of_all_cases_is_printed(capsys):
    printed = call(capsys, FIELD, tool=TOOL).stdout
    cases = [line.split()[0] for line in printed.splitlines() if line[0] != ' ']
    assert cases == sorted(EXPECTED)
    assert printed.count('bbox 1.000') == len(EXPECTED) - 2


@pytest.mark.parametrize(
    'name, images',
    [
        ('bccd/instances_train.json', 'bccd/images'),
        ('bccd/instances_test.json', 'bccd/images'),
        ('coco128/detection_train.json', 'coco128/train2017'),
        ('coco128/instances_val.json', 'coco128/val2017'),
        ('raccoon/instances_val.json', 'raccoon/images'),
        ('aerial/instances_val.json', 'aerial/images'),
        ('fixture/instances.json', 'fixture'),
    ],
)
def test_a_perfect_detector_has_an_ap_of_1_on_real_data(name, images):
    path = SHARED / 'data' / name
    if not path.is_file():
        pytest.skip(f'{path} is not there')
    read = read_annotations(path, SHARED / 'data' / images)
    scores = tool.evaluate_perfect(path, read)
    assert scores.pop('bbox') == 1
    assert scores == (dict(segm=1.0) if read.masks else {})
    # The evaluator can tell: without the objects of one image it is less.
    full = max(read.boxes, key=lambda key: len(read.boxes[key]))
    if len(read.boxes) > 1:
        found = tool.user_objects(path, read)
        found.pop(read.images[full])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tool, 'user_objects', lambda *_: found)
            assert tool.evaluate_perfect(path, read)['bbox'] < 0.999
