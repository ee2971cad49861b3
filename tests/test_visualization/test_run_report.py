"""The page of a run, in a real browser."""

import cv2
import numpy as np
import pytest
from browsing import complaints, requested, show, visible

from soco_mm.visualization.drawing import encode_jpeg
from soco_mm.visualization.run_charts import health_charts, training_charts
from soco_mm.visualization.run_report import ShownRun, differing, render_run_report

HOSTILE = '<img src=x onerror="alert(1)">&\udcff\''


class Pictures:
    """As an object and its neighbours."""

    def __init__(self, views, neighbours):
        self.views, self.neighbours = views, neighbours


def rows(number, scale):
    return [
        dict(
            step=step,
            iter=step,
            epoch=1,
            loss=scale / step - 4,
            loss_floor=-5.0,
            lr=0.1 * step,
            time=2.0,
            data_time=0.5,
            loss_rpn_cls=1.0,
        )
        for step in range(1, number + 1)
    ]


def run(name='RUN', number=60, scale=1.0, **changes):
    jpeg = encode_jpeg(np.full((90, 120, 3), 90, np.uint8))
    health = [
        dict(
            step=step,
            effective_rank_head=50.0 - step,
            effective_rank_projections=9.0,
            movement_weights=dict(backbone=step / 9, neck=0.5),
            objects=64,
            new_figure=None if step == 3 else 1.0,
        )
        for step in range(1, 9)
    ]
    values = dict(
        name=name,
        folder='/data/' + 'a_long_name_' * 12,
        state='Finished 2026-01-01 00:00:00.',
        figures=[('steps', str(number), ''), ('goodput', '81 %', 'of 2:21')],
        verdicts=[f'Step 7: {HOSTILE} has collapsed. Set --batch-size 64.'],
        findings=['Objects found again: 3 %'],
        judged=True,
        training=training_charts(rows(number, scale), []),
        health=health_charts(health),
        time=[('optimiser steps', '1:11', '81 %'), ('stopped', '0:01', '19 %')],
        views=[(HOSTILE, [('V1', jpeg), ('V2', jpeg), ('V3', jpeg)])],
        objects=[Pictures([('V1', jpeg), ('V2, 0.5', jpeg)], [('0.9', jpeg)] * 6)] * 2,
        searched=24,
        checkpoint='epoch_1.pth',
        exported=[('backbone', 120, 120, 0)],
        export_notes=['Config of the detector: /data/' + 'x' * 200],
        provenance=[('images', '5 in /data/' + 'y' * 200), ('sha', 'f' * 64)],
        notes=['Left out: no <b>health</b>.'],
        settings={'model.type': 'SoCo', 'lr': scale, 'hostile': HOSTILE},
    )
    return ShownRun(**(values | changes))


@pytest.fixture(params=[(1280, False), (390, False), (390, True)])
def shown(request, browser, tmp_path):
    path = tmp_path / 'a page.html'
    path.write_text(render_run_report([run()]), encoding='utf-8')
    show(browser, path, *request.param)
    return browser


def test_page_needs_nothing_but_itself(shown):
    assert complaints(shown) == []
    files = [url for url in requested(shown) if not url.startswith('data:')]
    assert files == [shown.current_url]


def test_page_does_not_scroll_sideways_closed_or_open(shown):
    for summary in [None, *shown.find_elements('css selector', 'summary')]:
        if summary is not None:
            summary.click()
        width, sight = shown.execute_script(
            'return [document.documentElement.scrollWidth, innerWidth]'
        )
        assert width <= sight in (390, 1280)
    assert 'model.type' in shown.find_element('tag name', 'main').text


def test_everything_is_visible(shown):
    headings = [each.text for each in visible(shown, 'h1, h2')]
    assert headings == [
        'RUN',
        'Verdicts',
        'Training',
        'Health',
        'Time',
        'Views',
        'Objects and their nearest',
        'Exported',
        'Made from',
    ]
    assert len(visible(shown, 'img')) == 3 + 2 * 8
    for each in visible(shown, 'img'):
        assert shown.execute_script('return arguments[0].naturalWidth', each) == 120
    titles = [each.text for each in visible(shown, '.charts h3')]
    assert titles == [
        'Loss above its floor',
        'Loss and floor',
        'Learning rate',
        'Seconds a step',
        'Waiting for data',
        'Loss rpn cls',
        'Effective rank',
        'Movement of weights',
        'New figure',
    ]
    for chart in visible(shown, '.charts svg'):
        assert chart.size['height'] > 100
        assert chart.find_elements('css selector', '.line')
    text = shown.find_element('tag name', 'main').text
    for words in ('goodput', '81 %', 'of 2:21', 'epoch_1.pth', '24 images', '1:11'):
        assert words in text


def test_names_stay_text(shown):
    assert not shown.find_elements('css selector', '[onerror], b')
    verdict = visible(shown, '.advice li')[0].text
    assert verdict.startswith('Step 7: <img src=x onerror="alert(1)">&\\udcff\'')
    assert 'Left out: no <b>health</b>.' in shown.find_element('tag name', 'main').text


def luminance(color):
    channels = [
        int(each) / 255 for each in color.split('(')[1].split(')')[0].split(',')[:3]
    ]
    linear = [
        c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    ]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize('dark', [False, True])
def test_text_and_curves_can_be_read_in_the_dark_and_in_the_light(
    browser, tmp_path, dark
):
    """By the contrast of WCAG 2.1: 4.5 for text, 3 for graphics."""
    path = tmp_path / 'page.html'
    path.write_text(render_run_report([run()]), encoding='utf-8')
    show(browser, path, 1280, dark)
    cards = browser.find_element('css selector', 'section:not(.advice)')
    back = luminance(cards.value_of_css_property('background-color'))
    assert (back < 0.1) == dark
    for selector, name, least in (
        ('td', 'color', 4.5),
        ('figcaption', 'color', 4.5),
        ('.axis', 'fill', 4.5),
        ('.line.c0', 'stroke', 3),
        ('.line.c1', 'stroke', 3),
    ):
        each = browser.find_element('css selector', f'section:not(.advice) {selector}')
        ours = luminance(each.value_of_css_property(name))
        light, deep = max(ours, back), min(ours, back)
        assert (light + 0.05) / (deep + 0.05) >= least, selector


@pytest.mark.parametrize('width', [1280, 390])
def test_two_runs_are_side_by_side_and_over_each_other(browser, tmp_path, width):
    path = tmp_path / 'page.html'
    other = run('other <RUN>', 40, 2.0, views=[], objects=[], time=[])
    path.write_text(render_run_report([run(), other]), encoding='utf-8')
    show(browser, path, width)
    assert complaints(browser) == []
    reach, sight = browser.execute_script(
        'return [document.documentElement.scrollWidth, innerWidth]'
    )
    assert reach <= sight == width
    headings = [each.text for each in visible(browser, 'h2')]
    assert 'Verdicts: other <RUN>' in headings and 'Views: RUN' in headings
    assert 'Views: other <RUN>' not in headings
    charts = visible(browser, '.charts figure')
    titles = [each.find_element('tag name', 'h3').text for each in charts]
    assert (
        'Loss and floor: floor' in titles and 'Movement of weights: backbone' in titles
    )
    for chart in charts:
        assert len(chart.find_elements('css selector', '.line')) == 2
        legend = chart.find_element('css selector', '.legend').text.split()
        assert legend == ['RUN', 'other', '<RUN>']
    text = browser.find_element('tag name', 'main').text
    assert '81 % (of 2:21)' in text
    # Of the configs only what differs: the learning rate.
    (differs,) = [
        each
        for each in visible(browser, 'section')
        if each.text.startswith('What differs')
    ]
    assert '1.0' in differs.text and '2.0' in differs.text
    assert 'SoCo' not in differs.text


def test_little_to_tell_makes_a_whole_page(browser, tmp_path):
    path = tmp_path / 'page.html'
    empty = ShownRun('RUN', '/r', '', notes=['Left out: no scalars are logged yet.'])
    path.write_text(render_run_report([empty]), encoding='utf-8')
    show(browser, path, 390)
    assert complaints(browser) == []
    text = browser.find_element('tag name', 'main').text
    assert 'Nothing is measured yet' in text and 'no scalars are logged yet' in text
    assert not visible(browser, 'svg, img, .fine')


def test_loss_over_floor_and_waiting_are_computed_of_each_step():
    charts = training_charts(rows(3, 2.0), [])
    assert charts['over'].lines[''] == [(1, 3.0), (2, 2.0), (3, 2 / 3 + 1)]
    assert charts['waiting'].lines[''] == [(1, 25.0), (2, 25.0), (3, 25.0)]
    assert set(charts['loss'].lines) == {'loss', 'floor'}
    detector = training_charts(
        [dict(step=1, iter=1, loss=2.0, acc=True)],
        [{'coco/bbox_mAP': 0.5, 'step': 1}],
    )
    assert [chart.title for chart in detector.values()] == ['Loss', 'coco/bbox mAP']


def test_pictures_are_kept_as_they_are():
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, :, 0] = 255  # red
    decoded = cv2.imdecode(np.frombuffer(encode_jpeg(image), np.uint8), 1)
    assert abs(decoded.astype(int)[..., ::-1] - image).max() <= 3


def test_values_that_differ_after_what_is_shown_differ():
    """The 80th of 80 names is cut off; a text and a number look alike."""
    names = [f'class {index}' for index in range(80)]
    first, second = dict(a=names, b='1', c=2), dict(a=[*names[:-1], 'other'], b=1, c=2)
    (key, *values), numbers = differing([first, second])
    assert key == 'a' and values[0].endswith("'class 79']")
    assert values[1].endswith("'other']") and max(map(len, values)) < 60
    assert numbers == ['b', "'1'", '1']
    assert differing([first, first]) == []
