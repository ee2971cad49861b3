"""Curves over the steps of a training as SVG, to be put into a page."""

from collections.abc import Sequence
from math import ceil, floor, log10
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from .pages import number, render
from .svg import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH, round_step

LEFT = 46  # margin in which the values stand
BINS = 200  # of a curve, each drawn by its smallest and largest value
COLORS = 6  # of the page's style sheet


class Line(NamedTuple):
    """A curve.

    Attributes:
        name (str): What the legend says; empty for none.
        steps (Sequence[float]): Where it has values, ascending.
        values (Sequence[float | None]): The values there; None, NaN and infinity
            are gaps.
        color (int): Number of its colour. Defaults to 0.
    """

    name: str
    steps: Sequence[float]
    values: Sequence[float | None]
    color: int = 0


def draw_lines(
    lines: Sequence[Line],
    title: str,
    marks: Sequence[tuple[float, str]] = (),
    from_zero: bool = False,
) -> Markup:
    """Draw curves over the steps of a training.

    Colours and fonts are those of the page, by the classes ``line`` with
    ``c0`` to ``c5``, ``grid``, ``axis`` and ``bound``.

    Args:
        lines (Sequence[Line]): The curves.
        title (str): What is shown, for screen readers.
        marks (Sequence[tuple]): Values that are marked by a line across, and
            their labels. Defaults to none.
        from_zero (bool): Whether the axis of the values includes 0. Defaults to
            False, only where that costs little.

    Returns:
        Markup: An ``<svg>`` element; empty if no curve has a value.
    """
    curves = [
        (each, np.asarray(each.steps, float), np.asarray(each.values, float))
        for each in lines
    ]
    finite = [values[np.isfinite(values)] for _, _, values in curves]
    if not any(map(len, finite)):
        return Markup()
    shown = np.concatenate(
        [*finite, [place for place, _ in marks], [0.0] if from_zero else []]
    )
    low, high, step = value_axis(shown.min(), shown.max())
    last = max(float(steps[-1]) for _, steps, _ in curves if len(steps))
    first = min(float(steps[0]) for _, steps, _ in curves if len(steps))
    right = WIDTH - RIGHT

    def across(place: np.ndarray | float) -> np.ndarray:
        return LEFT + (right - LEFT) * (np.asarray(place) - first) / (last - first or 1)

    def up(value: np.ndarray | float) -> np.ndarray:
        share = (np.asarray(value) - low) / (high - low)
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share

    count = round((high - low) / step)
    every = max(1, round_step(last - first, 4)) if last > first else 1
    ticks = np.arange(ceil(first / every) * every, last + 1e-9, every)
    return render(
        'lines.svg.j2',
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=right,
        base=HEIGHT - BOTTOM,
        title=title,
        grid=[
            (float(up(low + k * step)), short(low + k * step, step))
            for k in range(count + 1)
        ],
        ticks=[(float(across(place)), number(place)) for place in ticks],
        marks=[(float(up(place)), label) for place, label in marks],
        paths=[
            (trace(across(steps), up(values)), each.color % COLORS)
            for each, steps, values in curves
            if np.isfinite(values).any()
        ],
    )


def value_axis(low: float, high: float) -> tuple[float, float, float]:
    """Ends and step of an axis that shows all values.

    It begins at 0 if that costs less than half of it.

    Example:
        >>> value_axis(0.2, 0.9), value_axis(-4.9, -4.1)
        ((0.0, 1.0, 0.5), (-5.0, -4.0, 0.2))
    """
    if 0 < low < high / 2:
        low = 0
    if low == high:
        low, high = min(0.0, 2 * low), max(0.0, 2 * high) or 1.0
    step = float(round_step(high - low, 4))
    first = floor(low / step + 1e-9) * step
    return first, ceil(high / step - 1e-9) * step, step


def short(value: float, step: float) -> str:
    """A value of an axis, with the digits that its step has.

    Example:
        >>> short(-4.5, 0.5), short(20000.0, 10000.0), short(2e-05, 1e-05)
        ('-4.5', '2e+04', '2e-05')
        >>> short(0.99998, 1e-05)
        '0.99998'
    """
    if abs(value) < step / 2:
        return '0'
    if 1e-4 <= step < 1e4:
        return f'{float(f"{value:.6g}"):g}'
    digits = floor(log10(abs(value)) + 1e-9) - floor(log10(step) + 1e-9) + 1
    return f'{value:.{max(2, digits)}g}'


def trace(xs: np.ndarray, ys: np.ndarray) -> str:
    """The path of a curve; where values are missing it is interrupted.

    Of many points, each of :data:`BINS` parts is drawn by its lowest and
    highest: a peak of a single step stays visible.
    """
    ys = np.where(np.isfinite(ys), ys, np.nan)
    missing = np.isnan(ys)
    if len(xs) > 2 * BINS:
        kept = {0, len(xs) - 1}
        for part in np.array_split(np.arange(len(xs)), BINS):
            kept.update(part[missing[part]][:1].tolist())
            if not missing[part].all():
                kept.add(int(part[np.nanargmin(ys[part])]))
                kept.add(int(part[np.nanargmax(ys[part])]))
        chosen = sorted(kept)
        xs, ys, missing = xs[chosen], ys[chosen], missing[chosen]
    path = ''
    for k in np.flatnonzero(~missing):
        begins = k == 0 or missing[k - 1]
        path += f'{"M" if begins else "L"}{xs[k]:.1f} {ys[k]:.1f}'
        # A line of no length, whose round ends are a dot.
        path += 'h0' * bool(begins and (k + 1 == len(ys) or missing[k + 1]))
    return path
