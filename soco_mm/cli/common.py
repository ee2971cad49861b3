"""What several commands need to read their arguments."""

import argparse
import math
import os
import sys
import textwrap
import warnings
from collections.abc import Callable
from typing import Any

from soco_mm.errors import SoCoError, Stopped

# Not installed with the package, since their builds depend on the machine.
REQUIRED = ('torch', 'mmengine', 'mmcv', 'mmdet')


def run(main: Callable) -> None:
    """Run a program; what a user can fix ends it with one sentence."""
    from soco_mm.log import log_to_console
    from soco_mm.weights_only import force_weights_only

    log_to_console()
    force_weights_only()
    if hasattr(sys.stdout, 'reconfigure'):  # names of files may not be UTF-8
        sys.stdout.reconfigure(errors='backslashreplace')
    # Of modules that RTMDet and YOLOX build; a user can do nothing about it.
    warnings.filterwarnings(
        'ignore', r'`torch\.cuda\.amp\.', FutureWarning, r'mmdet\.models\.'
    )
    try:
        try:
            main()
        finally:  # here, where a full disk or a closed pipe gets a sentence
            leave_group()
            sys.stdout.flush()
    except SoCoError as error:
        if not error.silent:
            kind = '' if isinstance(error, Stopped) else 'ERROR: '
            print(f'{kind}{error}', file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # What reads the output wants no more, as head.
        discard_output()
        sys.exit(141)  # as a process that SIGPIPE ends
    except ModuleNotFoundError as error:
        if (error.name or '').partition('.')[0] not in REQUIRED:
            raise
        print(
            f'ERROR: {error.name} is not installed. What is missing, and how to '
            'install it: soco-mm doctor',
            file=sys.stderr,
        )
        sys.exit(1)
    except OSError as error:
        # For example a full disk.
        print(f'ERROR: {error}', file=sys.stderr)
        discard_output()
        sys.exit(1)
    except (KeyboardInterrupt, SyntaxError) as error:
        # MMEngine makes a SyntaxError of one that comes while it formats a config.
        if isinstance(error, SyntaxError) and not isinstance(
            error.__context__, KeyboardInterrupt
        ):
            raise
        print('\nInterrupted.', file=sys.stderr)
        sys.exit(130)


def leave_group() -> None:
    """Close the connections of gloo to other processes of a training.

    Where one of them ends first, gloo's threads may abort a process that is ending
    too ("terminate called without an active exception"), and its exit code is lost.
    """
    distributed = sys.modules.get('torch.distributed')
    if not (distributed and distributed.is_available()):
        return
    if distributed.is_initialized() and distributed.get_backend() == 'gloo':
        distributed.destroy_process_group()


def discard_output() -> None:
    """Let what could not be written go nowhere; Python would try once more."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def at_least(least: int) -> Callable[[str], int]:
    """A reader of whole numbers for an argument parser.

    Args:
        least (int): The smallest number that is accepted.

    Example:
        >>> from soco_mm.cli.common import at_least
        >>> at_least(1)('12')
        12
    """

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f'must be a whole number, but is {text!r}'
            ) from None
        if value < least:
            raise argparse.ArgumentTypeError(f'must be at least {least}, but is {text}')
        return value

    return read


positive = at_least(1)
natural = at_least(0)


def number(text: str) -> int | float:
    """A number from 0, whole if it can be, for an argument parser."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'must be a number, but is {text!r}') from None
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f'must be at least 0, but is {text}')
    return int(value) if value.is_integer() else value


def examples(*lines: str) -> str:
    """The end of a help text: command lines as a user types them.

    Example:
        >>> from soco_mm.cli.common import examples
        >>> print(examples('soco-mm doctor'))
        examples:
          soco-mm doctor
    """
    wrapped = [
        ' \\\n'.join(
            textwrap.wrap(
                line,
                76,
                initial_indent='  ',
                subsequent_indent='      ',
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
        for line in lines
    ]
    return '\n'.join(['examples:', *wrapped])


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
        help='continue the run in RUN; options that are not given again are as '
        'the run was started with',
    )
    group.add_argument(
        '--overwrite',
        action='store_true',
        help='delete what an earlier run left in RUN, and start again',
    )


def add_batch(parser: argparse.ArgumentParser) -> None:
    """Add ``--accumulate`` and ``--auto-scale``, for a pretraining."""
    parser.add_argument(
        '--accumulate',
        type=positive,
        metavar='N',
        help='add up the gradients of N batches for each step of the optimiser '
        '(default: that of the config, usually 1)',
    )
    parser.add_argument(
        '--auto-scale',
        action='store_true',
        help="scale the recipe's learning rate and target momentum from its own "
        'batch to this one, GPUs and accumulation counted',
    )


def add_precision(parser) -> None:
    """Add ``--precision``, for a pretraining.

    Args:
        parser: The parser of a command, or a group of it.
    """
    parser.add_argument(
        '--precision',
        choices=['float32', 'bf16', 'fp16'],
        help='what to compute with: float32, or mixed with bfloat16, or on a GPU with '
        'float16 (default: as the config says)',
    )


def add_logging(parser: argparse.ArgumentParser) -> None:
    """Add ``--tensorboard`` and ``--verbose``, for a command that trains."""
    parser.add_argument(
        '--tensorboard',
        action='store_true',
        help='write the scalars for TensorBoard too, to RUN/vis_data',
    )
    parser.add_argument(
        '-v',
        '--verbose',
        action='store_true',
        help="show MMEngine's log, which is in a file in RUN, instead of a line of "
        'progress',
    )


def add_config_options(parser: argparse.ArgumentParser, example: str) -> None:
    """Add ``--cfg-options``.

    Args:
        parser (argparse.ArgumentParser): The parser of a command.
        example (str): ``KEY=VALUE`` of a config of this command.
    """
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help=f'set values of the config, such as {example}',
    )
