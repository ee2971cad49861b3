"""Tables and picture of the transfer study."""

import re

import cv2
import numpy as np
import pytest
from conftest import ROOT
from transfer_records import made_cells
from transfer_study.picture import draw_differences
from transfer_study.plan import EXPERIMENTS, SEEDS
from transfer_study.records import read_cells, read_pretrainings
from transfer_study.report import BEGIN, END, report_study, write_tables
from transfer_study.statistics import paired_difference
from transfer_study.tables import compare, describe_experiment, describe_study, gather

from soco_mm.engine.recipe_choice import EXPECTED
from soco_mm.utils import UsageError

GAIN = (1.0, 2.0, 3.0, 6.0)  # of the short recipe on bccd, by seed
SHORT = '+ short recipe, backbone trained too'


def value(cell):
    number = cell.seed - SEEDS[0]
    gain = GAIN[number] if (cell.data, cell.start) == ('bccd', 'short') else 0
    return 30 + number + gain


def rows(text, start):
    """The cells of all rows of a start, by metric; of means by None."""
    found = {}
    for line in text.splitlines():
        first, *cells = [each.strip() for each in line.strip('|').split('|')]
        name, _, metric = first.partition(': ')
        if name == start:
            found[metric or None] = cells
    return found


def test_a_row_has_means_and_a_row_has_paired_differences():
    text = describe_experiment('backbone', made_cells('backbone', value))
    found = rows(text, SHORT)
    assert found[None][0] == '34.5 ± 3.4 (4)'  # 31 33 35 39
    gain = paired_difference(GAIN, [0, 0, 0, 0])
    assert found['AP'][0] == (
        f'+3.0 [{gain.low:+.1f}, {gain.high:+.1f}], .{1000 * gain.p:03.0f}, '
        f'{gain.visible:.1f} (4)'
    )
    assert found['AP50'][0].startswith('+6.0 [')
    assert found['AP75'][0].startswith('+1.5 [')
    assert found['AP of a'][0] == found['AP'][0] and 'AP of b' in found
    # Equal columns are said to be equal.
    assert found['AP'][1] == '+0.0 [+0.0, +0.0], 1.000, 0.0 (4)'


def test_a_class_that_no_detector_finds_has_no_smallest_visible_gain():
    cells = made_cells('backbone', value)
    for record in cells.values():
        record['metrics']['b_precision'] = 0.0
    found = rows(describe_experiment('backbone', cells), SHORT)
    assert set(found['AP of b']) == {'0 in all'}
    assert found['AP of a'] == found['AP']


def test_a_class_has_no_figure_in_a_data_set_without_it():
    cells = made_cells('backbone', value)
    for cell, record in cells.items():
        if cell.data != 'bccd':
            for key in ('a_precision', 'b_precision'):
                del record['metrics'][key]
    found = rows(describe_experiment('backbone', cells), SHORT)
    assert found['AP of a'][0] == found['AP'][0]
    assert found['AP of a'][1:] == [''] * (len(EXPERIMENTS['backbone'].data) - 1)


def test_only_seeds_that_both_columns_have_are_compared_if_they_are_four():
    def ap(cell):
        return 30 + (cell.seed - SEEDS[0]) + (cell.start == 'short')

    def described(controls):
        cells = made_cells('backbone', ap, seeds=6).items()
        last = SEEDS[controls - 1]
        return describe_experiment(
            'backbone',
            {
                cell: record
                for cell, record in cells
                if cell.start == 'short' or cell.seed <= last
            },
        )

    text = described(4)
    assert rows(text, 'ImageNet')[None][0] == '31.5 ± 1.3 (4)'
    assert rows(text, SHORT)['AP'][0] == '+1.0 [+1.0, +1.0], < .001, 0.0 (4)'
    text = described(3)
    assert rows(text, 'ImageNet')[None][0] == '31.0 ± 1.0 (3)'
    assert list(rows(text, SHORT)) == [None]


def test_lengths_and_rates_are_columns():
    text = describe_experiment('curve', made_cells('curve', value, seeds=2))
    assert 'data set bccd, 10 % of the labels.' in text
    assert '| 100 | 200 | 400 |' in text
    cells = {
        cell: dict(metrics=dict(bbox_mAP=cell.rate))
        for cell in EXPERIMENTS['rates'].cells()
    }
    text = describe_experiment('rates', cells)
    assert '| 0.01 | 0.02 | 0.05 |' in text
    assert rows(text, 'ImageNet')[None] == ['1.0 (1)', '2.0 (1)', '5.0 (1)']


def test_an_experiment_without_cells_has_no_table():
    text = describe_study(made_cells('backbone', value), {})
    titles = [EXPERIMENTS['backbone'].title]
    assert re.findall('^### (.*)$', text, re.M) == titles


def test_an_ablation_has_a_row_a_part_and_figures_before_and_after():
    def figures(number):
        return dict(
            annotated=dict(same_class=number / 100),
            found=number / 200,
            rank=number,
            largest_rank=99,
        )

    ablation = EXPERIMENTS['ablation']
    pretrainings = {
        each: dict(
            retrieval=dict(before=figures(10), after=figures(20 + each.seed - SEEDS[0]))
        )
        for each in ablation.pretrainings()
        if each.data == 'bccd' and each.init == 'imagenet' and each.seed < SEEDS[2]
    }
    text = describe_study({}, pretrainings)
    assert text.count('bccd, from ImageNet') == 1 and 'coco128' not in text
    assert rows(text, '+ FPN') == {
        None: [
            '10.0 ± 0.0 (2)',
            '20.5 ± 0.7 (2)',
            '5.0 ± 0.0 (2)',
            '10.2 ± 0.4 (2)',
            '10.0 ± 0.0 (2)',
            '20.5 ± 0.7 (2)',
            '99',
        ]
    }
    assert len(text.splitlines()) == 2 + 2 + 4


def test_a_page_gets_the_tables_between_its_markers(tmp_path):
    page = f'above\n{BEGIN}\nold\n{END}\nbelow\n'
    assert write_tables(page, 'new') == f'above\n{BEGIN}\n\nnew\n\n{END}\nbelow\n'
    with pytest.raises(UsageError, match='lacks'):
        write_tables('no markers', 'new')
    assert report_study(tmp_path) == []


def test_the_picture_has_a_green_bar_for_a_clear_gain_and_no_other(tmp_path):
    draw_differences(
        made_cells('backbone', value), tmp_path / 'a.png', names=('backbone',)
    )
    found = cv2.imread(str(tmp_path / 'a.png')).astype(int)
    green, red = np.array([44, 160, 44]), np.array([40, 39, 214])
    assert (abs(found - red).max(-1) < 8).sum() == 0
    assert (abs(found - green).max(-1) < 8).sum() == 0  # p is .07
    clear = made_cells(
        'backbone', lambda cell: value(cell) + 5 * (cell.start == 'short')
    )
    draw_differences(clear, tmp_path / 'b.png', names=('backbone',))
    found = cv2.imread(str(tmp_path / 'b.png')).astype(int)
    assert (abs(found - green).max(-1) < 8).sum() > 100
    with pytest.raises(ValueError, match='no pairs'):
        draw_differences({}, tmp_path / 'c.png')


def test_the_tables_of_the_docs_are_those_of_the_records():
    results = ROOT / 'projects/transfer_study/results'
    cells = read_cells(results)
    page = (ROOT / 'docs/evidence.md').read_text()
    assert write_tables(page, describe_study(cells, read_pretrainings(results))) == page
    for cell, record in cells.items():
        assert record['hashes']['detector'] and 0 <= record['metrics']['bbox_mAP'] <= 1
        assert (record['hashes']['start'] is None) == (cell.start == 'scratch')


@pytest.mark.parametrize(
    ('name', 'start', 'data', 'objects', 'pairs'),
    [
        ('anchors', 'align', 'bccd', 'blood cells', 8),
        ('main', 'align', 'raccoon', 'raccoons', 8),
        ('main', 'align', 'aerial', 'vehicles seen from a drone', 8),
    ],
)
def test_what_the_readme_and_the_command_say_is_what_the_records_say(
    name, start, data, objects, pairs
):
    cells = read_cells(ROOT / 'projects/transfer_study/results')
    found = gather(EXPERIMENTS[name], cells, 'bbox_mAP')
    column = (data, 0.1, 400, None)
    gain = compare(found[start, column], found['imagenet', column])
    assert gain.pairs == pairs
    interval = f'95 % {gain.low:+.1f} to {gain.high:+.1f}'
    readme = ' '.join((ROOT / 'README.md').read_text().split())
    shown = f'{interval}, smallest detectable {gain.visible:.1f})'
    assert f'{gain.mean:+.1f} on {objects} ({shown}' in readme
    assert f'{gain.mean:+.1f} AP on {objects} ({interval})' in EXPECTED


def test_what_the_readme_says_of_the_learning_curve_is_what_the_records_say():
    cells = read_cells(ROOT / 'projects/transfer_study/results')
    found = gather(EXPERIMENTS['curve'], cells, 'bbox_mAP')
    column = ('bccd', 0.1, 200, None)
    gain = compare(found['align', column], found['imagenet', column])
    assert gain.pairs == 8 and round(gain.p, 2) == 0.06
    readme = ' '.join((ROOT / 'README.md').read_text().split())
    interval = f'95 % {gain.low:+.1f} to {gain.high:+.1f}'
    assert f'{gain.mean:+.1f} on blood cells ({interval}, p .06)' in readme
    found = gather(EXPERIMENTS['long'], cells, 'bbox_mAP')
    column = ('bccd', 0.1, 800, None)
    later = compare(found['align', column], found['imagenet', column])
    assert later.pairs == 4 and f'({later.mean:+.1f}, four seeds)' in readme


def test_what_the_readme_says_of_another_learning_rate_is_what_the_records_say():
    cells = read_cells(ROOT / 'projects/transfer_study/results')
    found = gather(EXPERIMENTS['own-rate'], cells, 'bbox_mAP')
    column = ('bccd', 0.1, 400, None)
    gain = compare(found['align', column], found['imagenet', column])
    assert gain.pairs == 8
    shown = f'95 % {gain.low:+.1f} to {gain.high:+.1f}, p {gain.p:.2f}'
    readme = ' '.join((ROOT / 'README.md').read_text().split())
    assert f'{gain.mean:+.1f} there with the usual anchors' in readme
    assert shown.replace('p 0.', 'p .') in readme
