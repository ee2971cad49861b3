import xml.etree.ElementTree as ElementTree

import cv2
import numpy as np
import pytest
from browsing import requested, show, visible

from soco_mm.proposals import ProposalSummary
from soco_mm.visualization.proposal_charts import _crop
from soco_mm.visualization.proposal_galleries import Picture, draw_picture
from soco_mm.visualization.proposal_report import render_report
from soco_mm.visualization.svg import HEIGHT, draw_histogram, round_step

HOSTILE = '<img src=x onerror="alert(1)">&\udcff\'.jpg'


def page(**changes):
    sizes = np.linspace(0, 1, 51)
    aspects = np.linspace(-5, 5, 81)
    counts = np.zeros(80, int)
    counts[35:45] = 12
    figures = dict(objects=4321, recall_50=0.71234, recall_70=0.5, abo=0.625)
    nothing = dict(objects=0, recall_50=None, recall_70=None, abo=None)
    measured = dict(all=figures, small=nothing, medium=figures, large=figures)
    jpeg = draw_picture(
        np.full((300, 500, 3), 90, np.uint8), np.float32([[20, 30, 400, 200]] * 40)
    )
    arguments = dict(
        summary=ProposalSummary(
            store='/data/proposals of ' + 'a_long_name_' * 12,
            images=1281167,
            boxes=23456789,
            boxes_per_image=dict(min=1, p10=4, median=18, p90=40, max=99),
            status=dict(
                filtered=1281067, aspect_only=60, min_side_only=30, whole_image=10
            ),
            failures=7,
            left_out=3,
            first_failures=[dict(image=HOSTILE, reason='is damaged')] * 5,
            kept=0,
            bytes_per_image=12.5,
            seconds_per_image=None,
        ),
        parameters=dict(
            generator=dict(type='SelectiveSearch', scale=500),
            filter=dict(max_aspect=3, size_range=[0.3, 0.8], min_side=0),
            other=dict(max_boxes=None),
        ),
        histograms=dict(
            number=(np.arange(9) - 0.5, np.arange(8)),
            size=(sizes, np.arange(50)),
            aspect=(aspects, counts),
        ),
        advice=['Lower it, e.g. --size-range 0.05 0.8 --min-size 5.'],
        recall=dict(
            proposals=measured,
            random=measured,
            size=(sizes, np.arange(50)[::-1]),
            aspect=(aspects, counts),
            annotations='/data/<b>.json',
            images=77,
            absent=2,
            other_size=0,
        ),
        galleries={
            'Fewest boxes': [
                Picture(HOSTILE, 1, jpeg),
                Picture('gone.jpg', 2, b'', 'The image cannot be read <x>.'),
            ],
            'Contact sheet': [Picture('a/b.jpg', 40, jpeg)] * 7,
        },
    )
    arguments.update(changes)
    return render_report(**arguments)


@pytest.fixture(params=[1200, 400])
def shown(request, browser, tmp_path):
    path = tmp_path / 'a page.html'
    path.write_text(page(), encoding='utf-8')
    show(browser, path, request.param)
    return browser


def test_page_needs_nothing_but_itself(shown):
    assert [
        each
        for each in shown.get_log('browser')
        if each['level'] in ('SEVERE', 'WARNING')
    ] == []
    files = [url for url in requested(shown) if not url.startswith('data:')]
    assert files == [shown.current_url]


def test_pictures_are_there(shown):
    pictures = visible(shown, 'img')
    assert len(pictures) == 8
    for each in pictures:
        assert shown.execute_script('return arguments[0].naturalWidth', each) == 360
    (missing,) = visible(shown, '.missing')
    assert missing.text == 'The image cannot be read <x>.'


def test_headings_and_figures_are_visible(shown):
    headings = [each.text for each in visible(shown, 'h1, h2')]
    assert headings == [
        'Object proposals',
        'Advice',
        'Annotated objects',
        'Number, size and shape of the boxes',
        'Failures',
        'Fewest boxes',
        'Contact sheet',
        'Parameters',
    ]
    text = shown.find_element('tag name', 'main').text
    for figure in (
        '1\u202f281\u202f167',
        '23\u202f456\u202f789',
        '3 left out',
        '0.712',
        '0.625',
        '40 boxes, 16 drawn',
        'And 2 more',
    ):
        assert figure in text
    charts = visible(shown, 'svg')
    assert len(charts) == 3
    for chart in charts:
        assert chart.size['height'] > 100
        assert chart.find_elements('css selector', '.step, .bar')
    bounds = [each.text for each in visible(shown, '.bound-label')]
    assert bounds == ['0.3', '0.8', '1/3', '3']
    assert [each.text for each in visible(shown, 'code')] == [
        '--size-range 0.05 0.8',
        '--min-size 5',
    ]


def test_page_does_not_scroll_sideways(shown):
    width, sight = shown.execute_script(
        'return [document.documentElement.scrollWidth, innerWidth]'
    )
    assert width <= sight in (400, 1200)


def test_file_names_stay_text(shown):
    assert not shown.find_elements('css selector', '[onerror], b')
    captions = [each.text for each in visible(shown, '.pictures figcaption')]
    assert captions[0].startswith('<img src=x onerror="alert(1)">&\\udcff\'.jpg')


def test_little_to_tell_makes_a_whole_page(browser, tmp_path):
    summary = ProposalSummary(
        store='s',
        images=1,
        boxes=1,
        boxes_per_image=dict.fromkeys(('min', 'p10', 'median', 'p90', 'max'), 1.0),
        status=dict(filtered=0, aspect_only=0, min_side_only=0, whole_image=1),
        failures=0,
        left_out=0,
        first_failures=[],
        kept=0,
        bytes_per_image=12.5,
        seconds_per_image=None,
    )
    path = tmp_path / 'page.html'
    path.write_text(
        page(
            summary=summary,
            advice=[],
            recall=None,
            galleries={},
            note='There is no folder <x>.',
            parameters=dict(generator=dict(type='a.B'), filter={}, other={}),
        )
    )
    show(browser, path, 1200)
    text = browser.find_element('tag name', 'main').text
    assert 'There is no folder <x>.' in text and 'every box is kept' in text
    assert 'Nothing is measured without annotated objects' in text
    assert not visible(browser, '.fine')
    assert not visible(browser, 'img, .step, .bound')
    assert not [
        each for each in browser.get_log('browser') if each['level'] == 'SEVERE'
    ]


def test_bars_have_the_height_of_their_share():
    counts = np.array([1, 0, 3])
    drawing = ElementTree.fromstring(
        draw_histogram(
            np.arange(4.0),
            counts,
            [(1, '<1>'), (9, 'outside')],
            'A & B',
            [(2, 'bound')],
            np.array([0, 0, 5]),
        )
    )
    path = drawing.find("path[@class='bar']").get('d')
    bars = [each.split('V') for each in path.strip('M').split('M')]
    heights = [float(bar[2].rstrip('Z')) - float(bar[1].split('H')[0]) for bar in bars]
    assert len(bars) == 2  # an empty bin has none
    assert heights[1] == pytest.approx(3 * heights[0], abs=0.2)
    labels = [each.text for each in drawing.findall('text')]
    assert '<1>' in labels and 'bound' in labels and 'outside' not in labels
    # The axis reaches the largest share, here that of the other distribution.
    assert '100%' in labels and max(heights) < 0.8 * HEIGHT


@pytest.mark.parametrize(
    'length, parts, step',
    [(100, 4, 50), (12, 4, 5), (0.3, 3, 0.1), (8, 4, 2), (99, 5, 20)],
)
def test_steps_are_round(length, parts, step):
    assert round_step(length, parts) == pytest.approx(step)


def test_picture_is_small_and_has_its_boxes():
    image = np.full((400, 800, 3), 255, np.uint8)
    boxes = np.float32([[80, 80, 720, 320]])
    decoded = cv2.imdecode(
        np.frombuffer(draw_picture(image, boxes), np.uint8), cv2.IMREAD_COLOR
    )
    assert decoded.shape == (180, 360, 3)
    rows, columns = np.nonzero(decoded.min(-1) < 128)
    assert (
        abs(
            np.array([columns.min(), rows.min(), columns.max(), rows.max()])
            - [36, 36, 324, 144]
        ).max()
        <= 3
    )
    tiny = np.zeros((9, 12, 3), np.uint8)
    decoded = cv2.imdecode(np.frombuffer(draw_picture(tiny, boxes / 100), np.uint8), 1)
    assert decoded.shape == (9, 12, 3)


def test_only_measured_proposals_are_called_fine():
    assert 'class="advice fine"' in page(advice=[])
    unmeasured = page(advice=[], recall=None)
    assert 'class="advice open"' in unmeasured and 'advice fine' not in unmeasured
    assert 'no problem' not in unmeasured and '<code>--ann</code>' in unmeasured


def test_classes_are_in_a_table_up_to_thirty():
    figures = dict(
        objects=5, recall_50=0.61, recall_70=0.4, random_50=0.2, random_70=0.1, abo=0.5
    )
    recall = dict(
        proposals=dict(all=dict(figures, objects=9)),
        random=dict(all=dict(figures, objects=9)),
        size=(np.linspace(0, 1, 51), np.arange(50)),
        aspect=(np.linspace(-5, 5, 81), np.ones(80)),
        annotations='a.json',
        images=1,
        absent=0,
        other_size=0,
        classes={f'<class {number}>': figures for number in range(32)},
    )
    text = page(recall=recall)
    assert '&lt;class 29&gt;' in text and '&lt;class 30&gt;' not in text
    assert '0.610' in text and 'And 2 more classes' in text


def test_one_outlier_does_not_stretch_the_axis_of_shapes():
    edges, counts = np.linspace(-5, 5, 81), np.zeros(80, int)
    counts[35:45] = 100
    plain, _ = _crop(edges, [counts], [])
    counts[[0, 79]] = 1  # two of a thousand
    stretched, (cropped,) = _crop(edges, [counts], [])
    np.testing.assert_array_equal(stretched, plain)
    assert cropped.sum() == counts.sum()
    counts[0] = 200  # a share that is not to be hidden
    assert _crop(edges, [counts], [])[0][0] == -5
