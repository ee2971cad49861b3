"""Errors that a user can understand, and the names that were meant."""

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches

# How like two names must be, from 0 to 1.
CUTOFF = 0.6
# By how much the second may be less like it than the first.
TIE = 0.03


class SoCoError(Exception):
    """What a user can understand and fix; shown without a stack trace."""

    exit_code = 1
    # Another process of the training prints it.
    silent = False


class UsageError(SoCoError):
    """The command or its arguments are wrong."""

    exit_code = 2


def did_you_mean(
    name: str, known: Iterable[str], shown: Mapping[str, str] | None = None
) -> str:
    """The sentence that follows one about a wrong name.

    Args:
        name (str): The name that does not exist.
        known (Iterable[str]): The names that do.
        shown (Mapping[str, str], optional): What is printed for each of them.
            Defaults to None, themselves.

    Returns:
        str: A space and ``Did you mean X?`` with the known name that is most
        like it, two if both are as near, or nothing if none is near.

    Example:
        >>> from soco_mm.errors import did_you_mean
        >>> did_you_mean('--epoch', ['--epochs', '--seed'])
        ' Did you mean --epochs?'
        >>> did_you_mean('xyz', ['--epochs', '--seed'])
        ''
    """
    plain = {plain_name(each): shown[each] if shown else each for each in known}
    near = get_close_matches(plain_name(name), plain, n=2, cutoff=CUTOFF)
    ratios = [SequenceMatcher(None, each, plain_name(name)).ratio() for each in near]
    meant = [
        plain[each] for each, ratio in zip(near, ratios) if ratio > ratios[0] - TIE
    ]
    return f' Did you mean {" or ".join(meant)}?' if meant else ''


def plain_name(name: str) -> str:
    """A name without what is easily mistaken: case, ``_`` for ``-``, ``--``."""
    return name.lower().replace('_', '-').lstrip('-')
