"""Curves over the steps of a training."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from soco_mm.visualization.line_chart import BINS, Line, draw_lines, trace, value_axis


def points(drawing, color=0):
    path = drawing.find(f"path[@class='line c{color}']").get('d')
    return np.array(
        [pair.split() for pair in re.findall(r'[ML]([\d.-]+ [\d.-]+)', path)], float
    )


def draw(*lines, **options):
    return ElementTree.fromstring(draw_lines(lines, 'a < b', **options))


def test_values_stand_where_the_axes_say():
    drawing = draw(Line('', [10, 20, 30], [1.0, 3.0, 2.0]))
    x, y = points(drawing).T
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)
    # Up is less in SVG: 3 is as far above 2 as 2 above 1.
    assert y[0] - y[2] == pytest.approx(y[2] - y[1], abs=0.2) and y[1] < y[0]
    labels = {
        each.text: (float(each.get('x')), float(each.get('y')))
        for each in drawing.findall("text[@class='axis']")
    }
    assert labels['20'][0] == pytest.approx(x[1], abs=0.2)
    assert labels['2'][1] - 3.5 == pytest.approx(y[2], abs=0.2)
    assert drawing.get('aria-label') == 'a < b'


def test_curves_share_their_axes_and_keep_their_colours():
    drawing = draw(Line('a', [1, 2], [0, 10], 0), Line('b', [2, 3], [10, 0], 4))
    first, second = points(drawing), points(drawing, 4)
    np.testing.assert_allclose(first[1], second[0])


def test_what_is_not_finite_interrupts_a_curve():
    values = [1.0, None, 2.0, float('nan'), 3.0, 4.0, float('inf')]
    drawing = draw(Line('', range(7), values))
    path = drawing.find("path[@class='line c0']").get('d')
    assert path.count('M') == 3 and path.count('L') == 1
    assert path.count('h0') == 2  # single values are dots
    assert draw_lines([Line('', [1, 2], [None, float('nan')])], '') == ''
    assert draw_lines([], '') == ''


def test_of_many_points_a_single_peak_stays():
    ys = np.zeros(100_000)
    ys[77_777], ys[33_333] = 5, -7
    path = trace(np.arange(100_000.0), ys)
    assert 'L77777.0 5.0' in path and 'L33333.0 -7.0' in path
    assert path.count('L') <= 3 * BINS
    ys[50_000] = np.nan
    assert trace(np.arange(100_000.0), ys).count('M') == 2


@pytest.mark.parametrize(
    'low, high', [(0.2, 0.9), (-5, -4.2), (3, 3), (0, 0), (-2, 7e5), (1e-6, 2e-6)]
)
def test_an_axis_holds_all_values_and_little_more(low, high):
    first, last, step = value_axis(low, high)
    assert first <= low and last >= high and last > first
    assert last - first <= max(2 * (high - min(low, max(0, first))), 2 * abs(high), 1)
    assert (last - first) / step == pytest.approx(round((last - first) / step))


def test_amounts_are_drawn_from_zero():
    line = Line('', [7, 8], [13.0, 14.0])
    labels = [
        {each.text for each in draw(line, **options).findall('text')}
        for options in ({}, dict(from_zero=True))
    ]
    assert '0' not in labels[0] and '13' in labels[0]
    assert {'0', '5', '10', '15'} <= labels[1]


def test_marks_are_inside():
    drawing = draw(Line('', [0, 1], [1, 2]), marks=[(5.0, 'limit <5>')])
    assert [each.text for each in drawing.findall("text[@class='axis bound-label']")]
    ys = [float(each.get('y')) for each in drawing.findall('text')]
    assert min(ys) > 0
