"""Paired differences: what a study found, and what it could have found."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import brentq

LEVEL = 0.05  # two-sided
POWER = 0.8
RESAMPLES = 10_000
# Means of fewer drawn values have too few ends: those of 4 cannot leave their range,
# which holds the true mean in seven studies of eight only.
FEWEST_RESAMPLED = 8
QUANTILES = 10_000


class Difference(NamedTuple):
    """The differences of pairs, of the same seed each.

    Attributes:
        mean (float): Their mean.
        low (float): The lower end of the interval of the mean at 95 %: a bootstrap
            interval of eight pairs or more, that of Student's t of fewer.
        high (float): The upper end.
        p (float): Of the paired t test; 1 for differences of 0 everywhere.
        visible (float): The smallest mean difference that the test would have
            found in 80 % of such studies, given the spread of these pairs.
        pairs (int): Their number.
    """

    mean: float
    low: float
    high: float
    p: float
    visible: float
    pairs: int


def paired_difference(values: Sequence[float], control: Sequence[float]) -> Difference:
    """Compare two columns of a study, seed by seed.

    Args:
        values (Sequence[float]): One figure a seed, (S,).
        control (Sequence[float]): Those of the control, of the same seeds, (S,).

    Returns:
        Difference: Of ``values - control``.

    Raises:
        ValueError: If there are fewer than two pairs, or the numbers differ.

    Example:
        >>> found = paired_difference([3.0, 4.0, 5.0], [2.0, 2.0, 2.0])
        >>> found.mean, round(found.p, 4), found.pairs
        (2.0, 0.0742, 3)
    """
    a, b = np.asarray(values, float), np.asarray(control, float)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f'Two pairs or more are needed, not {a.shape} and {b.shape}.')
    found = a - b
    if not found.any():
        return Difference(0.0, 0.0, 0.0, 1.0, 0.0, len(found))
    low, high = interval(found)
    p = float(stats.ttest_1samp(found, 0).pvalue) if found.std() else 0.0
    visible = smallest_visible(float(found.std(ddof=1)), len(found))
    return Difference(float(found.mean()), low, high, p, visible, len(found))


def holm(values: Sequence[float]) -> list[float]:
    """The p of several tests, corrected for their number (Holm, 1979).

    Args:
        values (Sequence[float]): Their p.

    Returns:
        list[float]: The same, in the same order; below 0.05 is what is clear.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    found, largest = [0.0] * len(values), 0.0
    for place, index in enumerate(np.argsort(values)):
        largest = max(largest, min(1.0, (len(values) - place) * values[index]))
        found[index] = largest
    return found


def interval(values: np.ndarray) -> tuple[float, float]:
    """The interval of the mean at 95 %."""
    if len(values) >= FEWEST_RESAMPLED:
        return bootstrap_interval(values)
    if not values.std():
        return float(values[0]), float(values[0])
    low, high = stats.t.interval(
        1 - LEVEL, len(values) - 1, values.mean(), stats.sem(values)
    )
    return float(low), float(high)


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """The bootstrap interval of the mean, at 95 %, always the same.

    Plain percentiles of a few values are too close: those of 8 hold the mean in
    nine studies of ten. These are as far out as Student's t asks for (Hesterberg,
    2015, "expanded percentiles").
    """
    number = len(values)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, number, (RESAMPLES, number))
    bound = stats.t.ppf(1 - LEVEL / 2, number - 1) * np.sqrt(number / (number - 1))
    ends = stats.norm.cdf([-bound, bound])
    low, high = np.quantile(values[drawn].mean(1), ends)
    return float(low), float(high)


def smallest_visible(deviation: float, pairs: int) -> float:
    """The mean difference that a paired t test finds with a power of 80 %.

    Args:
        deviation (float): Standard deviation of the differences.
        pairs (int): Their number, at least 2.

    Returns:
        float: The difference, in the unit of the deviation.

    Example:
        >>> round(smallest_visible(1.0, 8), 2)
        1.16
    """
    freedom = pairs - 1
    bound = stats.t.ppf(1 - LEVEL / 2, freedom)
    # SciPy's noncentral t is NaN far out, so the deviation that a study estimates
    # is integrated over here, by its quantiles.
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    estimated = bound * np.sqrt(stats.chi2.ppf(shares, freedom) / freedom)

    def lacking(shift: float) -> float:
        found = stats.norm.sf(estimated - shift) + stats.norm.cdf(-estimated - shift)
        return found.mean() - POWER

    shift = brentq(lacking, 0, 10 * bound)
    return float(deviation * shift / np.sqrt(pairs))
