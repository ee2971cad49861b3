"""Where the time of a training went, over all processes that worked on it."""

import json
from pathlib import Path
from typing import Any

TIMELINE = 'timeline.json'
# What a process does, one at a time.
STARTING = 'starting'
STEPS = 'steps'
WAITING = 'waiting'
CHECKPOINTS = 'checkpoints'
OTHER = 'other'
FIELDS = {'start', 'end', 'first', 'last', 'seconds'}
STATES = (STARTING, STEPS, WAITING, CHECKPOINTS, OTHER)


def read_timeline(folder: str | Path) -> list[dict[str, Any]]:
    """What :class:`TimelineHook` has written, one entry a process; else empty."""
    try:
        written = json.loads(Path(folder, TIMELINE).read_text(encoding='utf-8'))
        return [each for each in written['processes'] if set(each) >= FIELDS]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def share_time(processes: list[dict[str, Any]]) -> dict[str, float]:
    """Split the time from the first start to the last recorded activity.

    Steps that a process did after the checkpoint from which the next one went
    on are lost: they count as ``lost`` with the mean time of its steps, and not
    as ``steps``. Between the processes the run was ``stopped``, unless it had
    finished and was made longer.

    Args:
        processes (list[dict]): What :func:`read_timeline` returns, at least one.

    Returns:
        dict: Seconds of ``steps``, ``lost``, ``waiting``, ``checkpoints``,
        ``starting``, ``other`` and ``stopped``, which add up to ``wall``; and
        ``goodput``, the share of ``steps`` in ``wall``.

    Example:
        >>> seconds = dict(starting=10, steps=80, waiting=5, checkpoints=4, other=1)
        >>> once = dict(start=0, end=100, first=0, last=40, seconds=seconds)
        >>> share_time([once])['goodput']
        0.8
        >>> again = dict(once, start=150, end=250, first=20, last=60)
        >>> shared = share_time([once, again])
        >>> shared['lost'], shared['stopped'], shared['goodput']
        (40.0, 50, 0.48)
    """
    shares: dict[str, float] = dict.fromkeys(
        ('steps', 'lost', 'waiting', 'checkpoints', 'starting', 'other', 'stopped'), 0
    )
    following = [*processes[1:], None]
    for one, then in zip(processes, following):
        for state in STATES:
            shares[state] += one['seconds'].get(state, 0)
        if then is None:
            continue
        if not one.get('finished'):
            shares['stopped'] += max(0, then['start'] - one['end'])
        done = one['last'] - one['first']
        lost = min(done, max(0, one['last'] - then['first']))
        if lost:
            seconds = one['seconds'][STEPS] * lost / done
            shares['lost'] += seconds
            shares['steps'] -= seconds
    wall = sum(shares.values())
    return dict(shares, wall=wall, goodput=shares['steps'] / wall if wall else 0.0)
