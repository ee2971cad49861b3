"""Errors that a user can understand, and the names that were meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches

# How like two names must be, from 0 to 1.
CUTOFF = 0.6


class SoCoError(Exception):
    """What a user can understand and fix; shown without a stack trace."""

    exit_code = 1
    # Another process of the training prints it.
    silent = False


class UsageError(SoCoError):
    """The command or its arguments are wrong."""

    exit_code = 2


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about a wrong name.

    Args:
        name (str): The name that does not exist.
        known (Iterable[str]): The names that do.

    Returns:
        str: ``. Did you mean X?`` with the known name that is most like it,
        two if both are near, or nothing if none is.

    Example:
        >>> from soco_mm.errors import did_you_mean
        >>> did_you_mean('--epoch', ['--epochs', '--seed'])
        '. Did you mean --epochs?'
        >>> did_you_mean('xyz', ['--epochs', '--seed'])
        ''
    """
    # The case and - or _ are easily mistaken.
    plain = {plain_name(each): each for each in known}
    near = get_close_matches(plain_name(name), plain, n=2, cutoff=CUTOFF)
    likeness = [SequenceMatcher(None, plain_name(name), each).ratio() for each in near]
    near = [each for each, ratio in zip(near, likeness) if ratio > likeness[0] - 0.05]
    if not near:
        return ''
    return f'. Did you mean {" or ".join(plain[each] for each in near)}?'


def plain_name(name: str) -> str:
    """A name in lower case, with ``-`` for ``_`` and without the first ``--``."""
    return name.lower().replace('_', '-').lstrip('-')
