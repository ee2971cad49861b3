"""Errors that a user can understand, with suggestions for wrong names."""

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches

# How similar two names must be, from 0 to 1.
CUTOFF = 0.6
# By how much less similar the second suggestion may be.
TIE = 0.03


# Characters that act on a terminal: in the name of a file they could hide what
# is said of it. A line may end.
CONTROL = re.compile(r'[\x00-\x08\x0b-\x1f\x7f-\x9f]')


def without_control(text: str) -> str:
    """A text whose control characters are written out.

    Example:
        >>> from soco_mm.errors import without_control
        >>> without_control('a' + chr(27) + '[2J.png')
        'a\\\\x1b[2J.png'
    """
    return CONTROL.sub(lambda found: f'\\x{ord(found[0]):02x}', text)


class SoCoError(Exception):
    """An error that a user can understand and fix; shown without a stack trace."""

    exit_code = 1
    # Another process of the training prints it.
    silent = False

    def __str__(self) -> str:
        return without_control(super().__str__())


class UsageError(SoCoError):
    """The command or its arguments are wrong."""

    exit_code = 2


class Stopped(SoCoError):
    """A training that was asked to stop, and saved what it had done.

    The exit code is that of a temporary failure (``EX_TEMPFAIL`` of sysexits.h):
    unlike 143, with which SIGTERM ends a program, it says that the same command
    with ``--resume`` goes on, and schedulers can tell it from a crash.
    """

    exit_code = 75


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
