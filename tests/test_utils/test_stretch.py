import numpy as np
import pytest

from soco_mm.utils.stretch import reduce_depth


def test_percentiles_become_0_and_255():
    values = np.arange(1001, dtype=np.uint16).reshape(7, 143) + 50000
    reduced = reduce_depth(values, (10, 90))
    low, high = 50100, 50900
    wanted = np.rint((values.astype(float) - low) / (high - low) * 255).clip(0, 255)
    assert reduced.dtype == np.uint8
    assert np.abs(reduced - wanted).max() <= 1
    assert (np.sort(reduced.ravel()) == reduced.ravel()).all()


def test_integers_and_floats_of_one_content_are_reduced_alike():
    rng = np.random.default_rng(0)
    values = rng.normal(30000, 90, (40, 50, 3)).astype(np.uint16)
    wanted = reduce_depth(values, (0.5, 99.5))
    assert (reduce_depth(values.astype(np.int32), (0.5, 99.5)) == wanted).all()
    assert (reduce_depth(values.astype(np.float32), (0.5, 99.5)) == wanted).all()
    assert len(np.unique(wanted)) > 200


@pytest.mark.parametrize('dtype', [np.uint16, np.float32])
def test_plain_ground_and_single_values(dtype):
    values = np.full((20, 20), 700, dtype)
    assert (reduce_depth(values, (1, 99)) == 0).all()
    values[0, 0] = 900  # less than a percent
    assert reduce_depth(values, (1, 99))[0, 0] == 255


def test_values_that_are_no_numbers_become_black():
    values = np.linspace(0, 1, 100, dtype=np.float32)
    values[3], values[5], values[7] = np.nan, np.inf, -np.inf
    reduced = reduce_depth(values, (0, 100))
    assert reduced[3] == 0 and reduced[7] == 0 and reduced[5] == 255
    assert reduced[99] == 255
    assert (reduce_depth(np.full(4, np.nan, np.float32), (0, 100)) == 0).all()


def test_8_bits_stay():
    values = np.arange(256, dtype=np.uint8)
    assert reduce_depth(values, (5, 95)) is values
