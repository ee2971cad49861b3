from dataclasses import replace

import numpy as np

from soco_mm.detectors.data import read_data
from soco_mm.detectors.pictures import draw_annotations


def test_an_image_of_both_data_sets_is_drawn_once(demo_images):
    file = demo_images.parent / 'instances.json'
    data = read_data(file, demo_images, file, None, None, masks=False)
    both = draw_annotations(data['train'], data['val'])
    nothing = replace(data['val'], boxes={})
    np.testing.assert_array_equal(both, draw_annotations(data['train'], nothing))
    some = replace(data['train'], boxes=dict(list(data['train'].boxes.items())[:3]))
    # One row of three, and below it the two that are only evaluated on.
    assert draw_annotations(some, nothing).shape[0] < 0.7 * both.shape[0]
    assert draw_annotations(some, data['val']).shape == both.shape


def test_an_image_that_exif_turns_is_drawn_first_and_once(demo_images):
    file = demo_images.parent / 'instances.json'
    data = read_data(file, demo_images, file, None, None, masks=False)['train']
    nothing = replace(data, boxes={})
    last = list(data.boxes)[-1]
    turned = draw_annotations(replace(data, turned=[last]), nothing)
    order = [last, *list(data.boxes)[:-1]]
    first = replace(data, boxes={key: data.boxes[key] for key in order})
    np.testing.assert_array_equal(turned, draw_annotations(first, nothing))
