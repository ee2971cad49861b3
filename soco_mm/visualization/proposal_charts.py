"""The histograms in the report on proposals."""

from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

from .svg import draw_histogram, round_step

TAIL = 0.005  # share of the boxes that an axis need not reach, at each end


def draw_charts(
    histograms: Mapping[str, tuple], kept: dict, recall: dict | None
) -> list[tuple[Markup, str]]:
    """The three histograms and their captions; see :func:`render_report`."""
    size_bounds, aspect_bounds = [], []
    if kept:
        size_bounds = [(each, f'{each:g}') for each in kept['size_range']]
        limit = kept['max_aspect']
        aspect_bounds = [
            (-np.log2(limit), f'1/{limit:g}'),
            (np.log2(limit), f'{limit:g}'),
        ]

    edges, counts = histograms['number']
    last = (edges[-2] + edges[-1]) / 2
    step = max(1, round_step(edges[-1], 5))
    ticks = [(each, f'{each:g}') for each in np.arange(0, last, step)]
    number = draw_histogram(edges, counts, ticks, 'Boxes per image')

    edges, counts = histograms['size']
    ticks = [(each / 10, f'{each / 10:g}') for each in range(0, 11, 2)]
    size = draw_histogram(
        edges,
        counts,
        ticks,
        'Relative size',
        size_bounds,
        recall['size'][1] if recall else None,
    )

    edges, counts = histograms['aspect']
    series = [counts, recall['aspect'][1]] if recall else [counts]
    edges, series = _crop(edges, series, [place for place, _ in aspect_bounds])
    ticks = [
        (power, f'{2**power}' if power >= 0 else f'1/{2**-power}')
        for power in range(-5, 6)
    ]
    aspect = draw_histogram(
        edges, series[0], ticks, 'Aspect ratio', aspect_bounds, *series[1:]
    )

    dashed = ' Dashed: what is kept.' if kept else ''
    return [
        (number, 'Boxes per image. The last bar has all images with more.'),
        (size, f'Relative size, √(wh) / √(WH).{dashed}'),
        (
            aspect,
            f'Aspect ratio, w / h, on a logarithmic scale; the outer bars have '
            f'all beyond.{dashed}',
        ),
    ]


def _crop(
    edges: np.ndarray, series: Sequence[np.ndarray], places: Sequence[float]
) -> tuple:
    """Leave out the ends of the axis, but keep given places visible.

    What lies beyond, at most a share of :data:`TAIL` at each end, counts in the
    outermost bins.
    """
    bins = np.searchsorted(edges, places).tolist()
    for each in series:
        shares = np.cumsum(each) / max(each.sum(), 1)
        bins += np.searchsorted(shares, (TAIL, 1 - TAIL)).tolist()
    first = max(0, min(bins) - 2)
    last = min(len(edges) - 1, max(bins) + 3)
    cropped = []
    for each in series:
        inside = each[first:last].copy()
        inside[0] += each[:first].sum()
        inside[-1] += each[last:].sum()
        cropped.append(inside)
    return edges[first : last + 1], cropped
