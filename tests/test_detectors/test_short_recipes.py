"""Short recipes fill the detectors that they are for."""

import pytest

from soco_mm.checkpoint.pretrained import Pretrained
from soco_mm.detectors.fit import HandOff, fit_detector
from soco_mm.engine.config import load_config

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
# Number of tensors of each part, counted in MMDetection's detectors: a
# convolution without bias is 1 and its norm 5.
EXPECTED = {
    'soco_r50_fpn_short': (
        None,
        # 53 convolutions; 8 of the FPN; 4 of the head, and a layer of 2.
        {'backbone': 53 * 6, 'neck': 8 * 6, 'box head': 4 * 6 + 2},
    ),
    'soco_mobilenetv2_fpn_short': (
        None,
        {'backbone': 52 * 6, 'neck': 8 * 6, 'box head': 4 * 6 + 2},
    ),
    # The last stage, 10 convolutions, is the head.
    'soco_r50_c4_short': (None, {'backbone': 43 * 6, 'shared head': 10 * 6}),
    # No norms: 3 laterals, 5 levels, two towers of 4.
    'soco_r50_retinanet_short': (
        RETINANET,
        {'backbone': 53 * 6, 'neck': 8 * 2, 'bbox_head': 8 * 2},
    ),
}


@pytest.mark.parametrize('name', EXPECTED)
def test_all_tensors_of_a_short_recipe_have_a_place_in_its_detector(name, tmp_path):
    detector, expected = EXPECTED[name]
    pretrained = Pretrained.untrained(load_config(f'short/{name}').model)
    report = fit_detector(
        pretrained, tmp_path, HandOff(detector, adapt=detector is not None), None
    ).report
    filled = {part: len(each.filled) for part, each in report.parts.items()}
    assert {part: number for part, number in filled.items() if number} == expected
    assert not report.unused
    assert sum(expected.values()) == len(pretrained.weights)
