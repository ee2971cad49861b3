"""What several commands need to read their arguments."""

import argparse
import math
import sys
from collections.abc import Callable
from typing import Any

from soco_mm.errors import SoCoError


def run(main: Callable) -> None:
    """Run a program; what a user can fix ends it with one sentence."""
    try:
        main()
    except SoCoError as error:
        if not error.silent:
            print(f'ERROR: {error}', file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        # For example a full disk.
        print(f'ERROR: {error}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print('\nInterrupted.', file=sys.stderr)
        sys.exit(130)


def positive(text: str) -> int:
    """A whole number from 1, for an argument parser."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f'must be at least 1, but is {text}')
    return number


def natural(text: str) -> int:
    """A whole number from 0, for an argument parser."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f'must be at least 0, but is {text}')
    return number


def number(text: str) -> int | float:
    """A number, whole if it can be, for an argument parser."""
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f'must be at least 0, but is {text}')
    return int(value) if value.is_integer() else value


class ConfigOptions(argparse.Action):
    """Read KEY=VALUE as MMEngine's ``DictAction``, but keep spaces.

    Values are read by :func:`read_value`. The command starts without
    MMEngine, so that ``doctor`` can say that it is missing.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Read the values."""
        options = dict(getattr(namespace, self.dest, None) or {})
        for value in values:
            key, equals, text = value.partition('=')
            if not equals or not key:
                parser.error(f'{option_string} takes KEY=VALUE, but got {value!r}')
            options[key.strip()] = read_value(text)
        setattr(namespace, self.dest, options)


def read_value(text: str) -> Any:
    """Read a value as ``--cfg-options`` has it.

    A number, True, False and None are what they say; ``[a, b]`` and ``a,b``
    are lists and ``(a, b)`` is a tuple, of such values; anything else is text,
    with all its spaces. Text in quotes is text, whatever it holds.

    Example:
        >>> from soco_mm.cli.common import read_value
        >>> read_value('my images/a (1)'), read_value('[(1, 2.5), x y]')
        ('my images/a (1)', [(1, 2.5), 'x y'])
        >>> read_value('"a,b"'), read_value('a,b'), read_value('None')
        ('a,b', ['a', 'b'], None)
    """
    text = text.strip()
    if (
        len(text) > 1
        and text[0] == text[-1]
        and text[0] in '\'"'
        and (text[0] not in text[1:-1])
    ):
        return text[1:-1]
    parts = split_list(text)
    if parts is not None:
        return [read_value(part) for part in parts]
    for (first, last), kind in (('[]', list), ('()', tuple)):
        if text.startswith(first) and text.endswith(last):
            inner = text[1:-1].strip().removesuffix(',')
            parts = split_list(inner)
            if parts is None:
                parts = [inner] if inner else []
            return kind(map(read_value, parts))
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            pass
    if text.lower() in ('true', 'false'):
        return text.lower() == 'true'
    return None if text == 'None' else text


def split_list(text: str) -> list[str] | None:
    """Parts of a text between commas, None if there is none.

    Commas in brackets and quotes do not count, nor do any where brackets do
    not match, as in the name of a file.
    """
    parts, depth, quote, start = [], 0, '', 0
    for index, char in enumerate(text):
        if quote:
            quote = '' if char == quote else quote
        elif char in '\'"' and not text[start:index].strip():
            quote = char
        elif char in '[(':
            depth += 1
        elif char in '])':
            depth -= 1
        elif char == ',' and not depth:
            parts.append(text[start:index])
            start = index + 1
        if depth < 0:
            return None
    if depth or not parts:
        return None
    return [*parts, text[start:]]


def add_restart(parser: argparse.ArgumentParser) -> None:
    """Add ``--resume`` and ``--overwrite``, of which one can be given."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--resume',
        action='store_true',
        help='continue the run in RUN, as it was begun but for what is given again',
    )
    group.add_argument(
        '--overwrite',
        action='store_true',
        help='delete what an earlier run left in RUN',
    )


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, whose values MMEngine reads."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='set values of the config, e.g. '
        'train_dataloader.dataset.pipeline.2.num_proposals=8',
    )
