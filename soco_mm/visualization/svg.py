"""Histograms as SVG, to be put into a page."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from .pages import render

WIDTH, HEIGHT = 360, 210  # of the drawing, in units of the view box
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 22, 30  # margins of the plot in it


def draw_histogram(
    edges: np.ndarray,
    counts: np.ndarray,
    ticks: Sequence[tuple[float, str]],
    title: str,
    bounds: Sequence[tuple[float, str]] = (),
    compared: np.ndarray | None = None,
) -> Markup:
    """Draw a histogram of shares.

    Colours and fonts are those of the page, by the classes ``bar``, ``step``
    (the compared distribution), ``bound``, ``grid`` and ``axis``.

    Args:
        edges (np.ndarray): Of the bins, ascending, (B + 1,).
        counts (np.ndarray): Numbers in the bins, (B,).
        ticks (Sequence[tuple]): Positions on the axis and their labels; those
            outside are left out.
        title (str): What is shown, for screen readers.
        bounds (Sequence[tuple]): Positions that are marked by a line, and their
            labels. Defaults to none.
        compared (np.ndarray, optional): Numbers of another distribution in
            the bins, drawn as a line, (B,). Defaults to None.

    Returns:
        Markup: An ``<svg>`` element.
    """
    series = [counts] if compared is None else [counts, compared]
    shares = [100 * each / max(each.sum(), 1) for each in series]
    step, top = _scale(max(share.max() for share in shares))
    span = edges[-1] - edges[0]

    def across(place) -> np.ndarray:
        return LEFT + (WIDTH - LEFT - RIGHT) * (place - edges[0]) / span

    def up(share) -> np.ndarray:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * share / top

    base = up(0)
    bars = ''.join(
        f'M{left:.1f} {base:.1f}V{height:.1f}H{right:.1f}V{base:.1f}Z'
        for left, right, height in zip(
            across(edges[:-1]) + 0.3, across(edges[1:]) - 0.3, up(shares[0])
        )
        if base - height > 0.05
    )
    line = ''
    if compared is not None:
        steps = ''.join(
            f'V{height:.1f}H{right:.1f}'
            for right, height in zip(across(edges[1:]), up(shares[1]))
        )
        line = f'M{LEFT} {base:.1f}{steps}V{base:.1f}'

    def inside(places) -> list[tuple[float, str]]:
        return [
            (float(across(place)), text)
            for place, text in places
            if edges[0] <= place <= edges[-1]
        ]

    return render(
        'histogram.svg.j2',
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        base=base,
        title=title,
        shares=[
            (up(share), f'{share:g}%') for share in np.arange(0, top + step / 2, step)
        ],
        bars=bars,
        line=line,
        ticks=inside(ticks),
        bounds=inside(bounds),
    )


def round_step(length: float, parts: int) -> float:
    """The round step, 1, 2 or 5 times a power of ten, that cuts a length.

    Args:
        length (float): Of the axis.
        parts (int): The largest number of steps in it.

    Returns:
        float: The smallest such step.
    """
    power = 10.0 ** np.floor(np.log10(length / parts))
    return next(
        power * factor
        for factor in (1, 2, 5, 10)
        if power * factor * parts >= length * (1 - 1e-9)
    )


def _scale(largest: float) -> tuple[float, float]:
    """Step and upper end of the axis of shares."""
    largest = max(largest, 1e-3)
    step = round_step(largest, 4)
    return step, step * np.ceil(largest / step - 1e-9)
