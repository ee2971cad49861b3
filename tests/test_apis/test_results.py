"""Results as notebooks show them."""

import base64
import json
import os
import re

import cv2
import numpy as np
import pytest

from soco_mm.apis import BrowseResult, FinetuneResult, PretrainResult, ReportResult
from soco_mm.proposals.summary import ProposalSummary
from soco_mm.visualization import write_png
from soco_mm.visualization.results import WIDTH


def pictures(html):
    """The pictures inside an HTML text, RGB."""
    found = re.findall('src="data:image/jpeg;base64,([^"]*)"', html)
    data = [np.frombuffer(base64.b64decode(each), np.uint8) for each in found]
    return [cv2.imdecode(each, cv2.IMREAD_COLOR)[..., ::-1] for each in data]


def rows(html):
    """Names and values of its table."""
    return dict(re.findall(r'<th[^>]*>([^<]*)</th><td[^>]*>([^<]*)</td>', html))


@pytest.fixture
def pretrained(tmp_path):
    names = [
        'proposals',
        'preview',
        'checkpoint',
        'weights',
        'detector',
        'report',
        'scalars',
        'retrieval',
    ]
    return PretrainResult(**{name: tmp_path / f'<{name}>.png' for name in names})


def test_a_pretraining_shows_its_preview_and_paths(pretrained):
    write_png(pretrained.preview, np.full((40, 80, 3), (200, 30, 90), np.uint8))
    html = pretrained._repr_html_()
    (shown,) = pictures(html)
    assert shown.shape == (40, 80, 3)
    assert np.abs(shown.astype(int) - (200, 30, 90)).max() < 20
    assert list(rows(html)) == list(vars(pretrained))
    assert rows(html)['weights'].endswith('/&lt;weights&gt;.png')


def test_a_picture_under_a_name_that_is_not_utf8_is_shown(tmp_path):
    odd = tmp_path / os.fsdecode(b'odd\xff')
    made = FinetuneResult.of(odd, 'config.py')
    write_png(made.picture, np.zeros((4, 5, 3), np.uint8))
    made.metrics.write_text('{}')
    assert pictures(made._repr_html_())[0].shape == (4, 5, 3)


def test_a_picture_that_was_deleted_is_left_out(pretrained):
    assert '<img' not in pretrained._repr_html_()


def test_wide_pictures_are_made_smaller(pretrained):
    write_png(pretrained.preview, np.zeros((100, 3 * WIDTH, 3), np.uint8))
    (shown,) = pictures(pretrained._repr_html_())
    assert shown.shape == (33, WIDTH, 3)


def test_a_finetuning_shows_its_predictions_and_precision(tmp_path):
    made = FinetuneResult.of(tmp_path, 'config.py')
    metrics = {'epoch': 3, 'coco/bbox_mAP': 0.25, 'coco/bbox_mAP_50': 0.5}
    made.metrics.write_text(json.dumps(metrics))
    write_png(made.picture, np.zeros((4, 5, 3), np.uint8))
    html = made._repr_html_()
    assert pictures(html)[0].shape == (4, 5, 3)
    assert rows(html)['coco/bbox_mAP'] == '0.25' and 'epoch' not in rows(html)


def test_a_report_shows_its_recall_and_advice():
    summary = ProposalSummary(
        store='store',
        images=5,
        boxes=183,
        boxes_per_image={},
        status={},
        failures=0,
        left_out=0,
        first_failures=[],
        kept=0,
        bytes_per_image=1.0,
        seconds_per_image=None,
        sizes=[],
    )
    figures = dict(all=dict(recall_50=0.9)), dict(all=dict(recall_50=0.1))
    recall = dict(zip(('proposals', 'random'), figures))
    report = ReportResult('p.html', summary, ['Use --min-size 5.'], recall, 0, '')
    shown = rows(report._repr_html_())
    assert shown['recall of proposals at IoU 0.5'] == '0.900'
    assert shown['advice 1'] == 'Use --min-size 5.' and shown['boxes'] == '183'
    recall['random'] = dict(all=dict(recall_50=None))  # no objects
    shown = rows(ReportResult('p.html', summary, [], recall, 0, '')._repr_html_())
    assert shown['recall of random at IoU 0.5'] == '–'
    alone = ReportResult('p.html', summary, [], None, 0, '')
    assert list(rows(alone._repr_html_())) == ['report', 'images', 'boxes']


def test_a_look_at_the_views_shows_the_first_of_them(tmp_path):
    paths = [tmp_path / f'{number}.png' for number in range(9)]
    for number, path in enumerate(paths, 1):
        write_png(path, np.zeros((number, 7, 3), np.uint8))
    html = BrowseResult(tmp_path / 'index.html', paths)._repr_html_()
    assert [each.shape[0] for each in pictures(html)] == [1, 2, 3, 4]
    assert rows(html)['pictures'] == '9'
