"""What is wrong with a training, told from the figures of its health.

Each threshold lies between what healthy runs and runs that were broken on purpose
showed; docs/judging.md has the figures.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .retrieval import percent

Row = dict[str, Any]

# Healthy: 0.4 to 0.84. Without a predictor it falls to 0.08 in 12 steps.
LOW_SPREAD = 0.15
# Of the effective rank at the start. A healthy run with SoCo's loss and a small batch
# falls to 0.1 of it too, so that it tells only together with the spread.
RANK_FALL = 0.5
# LARS at a rate of 0.5 moves convolutions by 2 to 4 % in 42 steps, AdamW at 1e-3 by
# 13 to 36 % in 100.
LITTLE_MOVEMENT = 0.05
# How much farther biases are then: 10 times with LARS, a tenth with AdamW.
BIASES_AHEAD = 3
# Of the norm of weights in a step. Healthy: 0.02 and less; with the rate times 1000
# 2 (LARS) and 19 (AdamW).
FAST_MOVEMENT = 0.1
# Share of the time. What can be gained is more than a third.
LONG_WAIT = 0.3
# Of the proposals. Selective search on photos: 0 to 0.04.
MANY_MASKED = 0.5
# Rows of which the mean counts, for figures that vary from batch to batch.
WINDOW = 3
# Steps before which no verdict about the movement is possible.
FEW_STEPS = 20
DETECTOR = ('backbone', 'neck', 'head')

NOT_FINITE = dict(
    name='learning_rate',
    sentence='The learning rate is too large: the loss is not finite any more. Take a '
    'tenth of it, or a longer warm-up.',
)


def judge(
    rows: Sequence[Row], max_iters: int, accumulated: int = 1
) -> list[dict[str, Any]]:
    """Look at the figures up to an iteration.

    Args:
        rows (Sequence[dict]): Those of ``health.json`` until then, see
            :mod:`soco_mm.engine.health`.
        max_iters (int): Length of the training.
        accumulated (int): Iterations of a step of the optimiser. Defaults to 1.

    Returns:
        list[dict]: ``name``, ``iter`` and ``sentence`` of what is wrong now.

    Example:
        >>> from soco_mm.engine.health_verdicts import judge
        >>> rows = [dict(iter=50 * i, waiting_share=0.6) for i in (1, 2, 3)]
        >>> judge(rows, 1000)[0]['name']
        'data'
    """
    if not rows:
        return []
    # What weights may move is that of a step.
    steps = [dict(row, iter=row['iter'] / accumulated) for row in rows]
    found = {
        name: find(steps, max_iters // accumulated) for name, find in JUDGES.items()
    }
    return [
        dict(name=name, iter=rows[-1]['iter'], sentence=sentence)
        for name, sentence in found.items()
        if sentence
    ]


def collapse(rows: Sequence[Row], max_steps: int) -> str | None:
    """All objects get the same projection: spread and rank fall."""
    first, last = rows[0], rows[-1]
    spread, rank = (
        (first.get(key), last.get(key))
        for key in ('spread_projections', 'effective_rank_projections')
    )
    if None in spread or None in rank or len(rows) < 2:
        return None
    if spread[1] >= LOW_SPREAD or rank[1] >= RANK_FALL * rank[0]:
        return None
    return (
        f'The features collapse: the spread of the projections has fallen from '
        f'{spread[0]:.2f} to {spread[1]:.2f} (1 is even, 0 a point), their effective '
        f'rank from {rank[0]:.0f} to {rank[1]:.0f}. Stop here: keep the predictor, '
        'and take ObjectInfoNCELoss, AdamW instead of LARS, or larger batches.'
    )


def hardly_moved(rows: Sequence[Row], max_steps: int) -> str | None:
    """Half of the training is over, and only biases and norms have moved."""
    last = rows[-1]
    if last['iter'] < max(FEW_STEPS, max_steps / 2):
        return None
    weights, biases = (
        max(moved_parts(last.get(kind)), default=None)
        for kind in ('movement_weights', 'movement_biases')
    )
    if weights is None or biases is None:
        return None
    if weights >= LITTLE_MOVEMENT or biases < BIASES_AHEAD * weights:
        return None
    return (
        f'The weights hardly move: after {last["iter"]:.0f} of {max_steps} steps '
        f'convolutions are within {percent(weights)} of where they started, and only '
        f'biases and norms moved (up to {percent(biases)}). LARS needs thousands of '
        'steps: take AdamW (a short recipe), a larger learning rate, or train longer.'
    )


def learning_rate(rows: Sequence[Row], max_steps: int) -> str | None:
    """Weights move by a large part of their norm in each step."""
    steps, parts = rows[-1]['iter'], rows[-1].get('movement_weights') or {}
    before: dict = {}
    if len(rows) > 1:
        steps -= rows[-2]['iter']
        before = rows[-2].get('movement_weights') or {}
    rates = {
        part: (moved - was) / (1 + was) / max(1, steps)
        for part in DETECTOR
        if (moved := parts.get(part)) is not None
        and (was := before.get(part, 0.0)) is not None
    }
    if not rates:
        return None
    part = max(rates, key=lambda name: rates[name])
    if rates[part] < FAST_MOVEMENT:
        return None
    return (
        f'The learning rate is too large ({rows[-1]["learning_rate"]:.2g}): the '
        f'weights of the {part} move by {percent(rates[part])} of their norm in a '
        'step. Take a tenth of it, or a longer warm-up.'
    )


def data(rows: Sequence[Row], max_steps: int) -> str | None:
    """The training waits for its data."""
    share = recent(rows, 'waiting_share')
    if share is None or share < LONG_WAIT:
        return None
    return (
        f'The training waits for data {percent(share)} of the time. Use more '
        '--workers, store smaller images, or train with more cores per GPU.'
    )


def objects(rows: Sequence[Row], max_steps: int) -> str | None:
    """Most proposals have no box in the first view and another one."""
    share = recent(rows, 'masked_share')
    if share is None or share < MANY_MASKED:
        return None
    return (
        f'Views have few common boxes: {percent(share)} of the proposals are masked. '
        'Look at RUN/preview.png; make more proposals (fit them with --ann), or take '
        'larger crops (crop_scale of ConstructViews).'
    )


def recent(rows: Sequence[Row], key: str) -> float | None:
    """The mean of a figure over the last rows that have it, None of too few."""
    values = [row[key] for row in rows if row.get(key) is not None][-WINDOW:]
    return sum(values) / WINDOW if len(values) == WINDOW else None


def moved_parts(parts: Row | None) -> list[float]:
    """The movement of those parts of a detector for which it is known."""
    found = [(parts or {}).get(part) for part in DETECTOR]
    return [moved for moved in found if moved is not None]


JUDGES: dict[str, Callable[[Sequence[Row], int], str | None]] = dict(
    collapse=collapse,
    movement=hardly_moved,
    learning_rate=learning_rate,
    data=data,
    objects=objects,
)
