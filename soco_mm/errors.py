"""Errors that a user can understand, with suggestions for wrong names."""

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches

# How similar two names must be, from 0 to 1.
CUTOFF = 0.6
# By how much less similar the second suggestion may be.
TIE = 0.03


class SoCoError(Exception):
    """An error that a user can understand and fix; shown without a stack trace."""

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
        str: A space and ``Did you mean X?`` with the most similar known name,
        two if they are about as similar, or nothing if none is.

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
