"""Table and plot of a transfer study."""

import math

import cv2
import numpy as np
import pytest
from mini_transfer.report import NAMES, describe_study, group_cells, report_study
from mini_transfer.study import METHODS


def cell(data, method, fraction, seed, ap):
    return dict(
        data=data,
        method=method,
        fraction=fraction,
        seed=seed,
        metrics=dict(bbox_mAP=ap, bbox_mAP_50=2 * ap),
    )


@pytest.fixture
def cells():
    made = [
        cell('bccd', 'scratch', 0.1, 0, 0.10),
        cell('bccd', 'scratch', 0.1, 1, 0.12),
        cell('bccd', 'scratch', 0.1, 2, 0.17),
        cell('bccd', 'scratch', 1.0, 0, 0.25),
        cell('bccd', 'soco', 0.1, 0, 0.14),
        cell('coco128', 'byol', 0.05, 0, 0.0),
    ]
    return dict(enumerate(made))


def test_a_row_is_mean_and_sample_standard_deviation_over_seeds(cells):
    rows = describe_study(group_cells(cells, 'bbox_mAP')).splitlines()
    mean = (10 + 12 + 17) / 3
    deviation = math.sqrt(sum((x - mean) ** 2 for x in (10, 12, 17)) / (3 - 1))
    assert f'{mean:.1f} ± {deviation:.1f}' == '13.0 ± 3.6'
    # A single seed has no spread, and a cell that is missing has no figure.
    # Where there are fewer seeds than elsewhere, their number is told.
    assert '| random weights | 13.0 ± 3.6 | 25.0 (1) |' in rows
    assert '| SoCo | 14.0 (1) |  |' in rows
    assert rows[0].startswith('bccd, AP (mean ± standard deviation over 3')
    assert '| BYOL (image level) | 0.0 |' in rows
    assert '| labels | 10 % | 100 % |' in rows
    assert '| labels | 5 % |' in rows
    assert sum(row.startswith(('bccd', 'coco128')) for row in rows) == 2


def test_other_metrics_can_be_had(cells):
    grouped = group_cells(cells, 'bbox_mAP_50')
    assert np.allclose(grouped['bccd', 'scratch', 0.1], [20, 24, 34])


def test_few_classes_have_a_table_each(tmp_path):
    cells = dict(
        a=cell('bccd', 'soco', 0.1, 0, 0.3),
        b=cell('bccd', 'soco', 0.1, 1, 0.0),
        c=cell('coco128', 'soco', 0.1, 0, 0.2),
    )
    cells['a']['metrics'].update(RBC_precision=0.5, WBC_precision=0.1)
    # b found nothing at all, so it has no figures of classes.
    cells['c']['metrics'].update({f'{name}_precision': 0.2 for name in range(80)})
    text = report_study(cells, tmp_path)[0].read_text()
    rbc, wbc = (
        text.partition(f'bccd, AP of {name} (')[2].splitlines()
        for name in ('RBC', 'WBC')
    )
    assert rbc[4] == '| SoCo | 25.0 ± 35.4 |'
    assert wbc[4] == '| SoCo | 5.0 ± 7.1 |'
    assert text.count('coco128, AP') == 1


def test_every_method_has_a_name():
    assert tuple(NAMES) == METHODS


def test_table_and_plot_are_written(cells, tmp_path):
    table, plot = report_study(cells, tmp_path)
    assert '13.0 ± 3.6' in table.read_text()
    picture = cv2.imread(str(plot))
    # A panel for each of two data sets; lines in more than one colour.
    assert picture.shape[1] > 2 * picture.shape[0]
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ['plot.png', 'table.md']


def test_without_cells_nothing_is_written(tmp_path):
    assert report_study({}, tmp_path) == [] == list(tmp_path.iterdir())
