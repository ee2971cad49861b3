"""Lengths of time as people write them."""

import re

from soco_mm.errors import UsageError

SECONDS = dict(s=1, sec=1, min=60, m=60, h=3600)
WRITTEN = re.compile(r'\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*')


def read_duration(text: str | float) -> float:
    """Read a length of time.

    Args:
        text (str | float): Such as ``30s``, ``10min`` or ``1.5h``; a number is in
            seconds.

    Returns:
        float: Seconds.

    Raises:
        UsageError: If it is none, or zero.

    Example:
        >>> from soco_mm.utils.durations import read_duration
        >>> read_duration('10min'), read_duration('1.5h'), read_duration(90)
        (600.0, 5400.0, 90.0)
    """
    found = WRITTEN.fullmatch(text) if isinstance(text, str) else None
    if found and found[2] in SECONDS:
        seconds = float(found[1]) * SECONDS[found[2]]
    elif isinstance(text, (int, float)) and not isinstance(text, bool):
        seconds = float(text)
    else:
        seconds = 0.0
    if not 0 < seconds < float('inf'):
        raise UsageError(
            f'{text!r} is no length of time. Give one such as 30s, 10min or 1h.'
        )
    return seconds


def in_words(seconds: float) -> str:
    """A length of time as text.

    Example:
        >>> from soco_mm.utils.durations import in_words
        >>> in_words(600), in_words(90), in_words(7200)
        ('10 min', '90 s', '2 h')
    """
    for name, size in (('h', 3600), ('min', 60)):
        if seconds >= 2 * size:
            return f'{seconds / size:.3g} {name}'
    return f'{seconds:.3g} s'
