"""Paired differences against SciPy, against simulation, and against tables."""

import numpy as np
import pytest
from scipy import stats
from transfer_study.statistics import (
    bootstrap_interval,
    holm,
    interval,
    paired_difference,
    smallest_visible,
)

RNG = np.random.default_rng(7)


def test_p_is_that_of_a_paired_t_test():
    a, b = RNG.normal(1, 2, 8), RNG.normal(0, 2, 8)
    found = paired_difference(a, b)
    assert found.p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert found.pairs == 8


def test_the_smallest_visible_effect_is_found_in_four_studies_of_five():
    for pairs in (3, 8):
        shift = smallest_visible(2.0, pairs)
        studies = RNG.normal(shift, 2.0, (20_000, pairs))
        found = stats.ttest_1samp(studies, 0, axis=1).pvalue < 0.05
        assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_the_smallest_visible_effect_of_published_tables():
    # Two-sided 5 %, power 80 %: 34 pairs see half a standard deviation.
    assert smallest_visible(1.0, 34) == pytest.approx(0.5, abs=0.005)


def test_the_interval_is_that_of_a_normal_mean_for_many_values():
    values = RNG.normal(3, 1, 400)
    low, high = bootstrap_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)


def test_the_interval_of_a_few_values_is_about_that_of_student():
    values = stats.norm.ppf((np.arange(8) + 0.5) / 8)
    _, expected = stats.t.interval(0.95, 7, scale=stats.sem(values))
    low, high = bootstrap_interval(values)
    assert (-low, high) == pytest.approx((expected, expected), rel=0.1)


@pytest.mark.parametrize('pairs', [4, 8])
def test_the_interval_holds_the_mean_in_19_studies_of_20(pairs):
    studies = np.random.default_rng(0).normal(1.0, 2.0, (1_000, pairs))
    ends = np.array([interval(values) for values in studies])
    held = (ends[:, 0] < 1) & (ends[:, 1] > 1)
    assert held.mean() == pytest.approx(0.95, abs=0.02)


def test_equal_columns_differ_by_nothing():
    assert paired_difference([1.0, 2.0], [1.0, 2.0])[:5] == (0, 0, 0, 1, 0)


@pytest.mark.parametrize(('a', 'b'), [([1.0], [2.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_fewer_than_two_pairs_are_refused(a, b):
    with pytest.raises(ValueError, match='Two pairs or more are needed'):
        paired_difference(a, b)


def test_holm_keeps_true_nulls_from_being_found_in_95_studies_of_100():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.5]) == pytest.approx([1.0, 1.0])
    studies = RNG.uniform(size=(20_000, 6))
    some = np.mean([min(holm(each)) < 0.05 for each in studies])
    assert some == pytest.approx(0.049, abs=0.006)  # 1 - (1 - 0.05 / 6) ** 6
