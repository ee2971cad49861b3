"""What several commands need to read their arguments."""
import argparse
import math
import sys
from typing import Callable, Union

from soco_mm.errors import SoCoError


def run(main: Callable) -> None:
    """Run a program; what a user can mend ends it with one sentence."""
    try:
        main()
    except SoCoError as error:
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


def number(text: str) -> Union[int, float]:
    """A number, whole if it can be, for an argument parser."""
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise argparse.ArgumentTypeError(f'must be at least 0, but is {text}')
    return int(value) if value.is_integer() else value


class ConfigOptions(argparse.Action):
    """MMEngine's ``DictAction``, imported where it is used.

    The command starts without MMEngine, so that ``doctor`` can say that it is
    missing. And a value that is not KEY=VALUE gets a sentence.
    """

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Read the values."""
        from mmengine.config import DictAction
        for value in values:
            if '=' not in value:
                parser.error(f'{option_string} takes KEY=VALUE, but got '
                             f'{value!r}')
        read = DictAction(self.option_strings, self.dest, nargs=self.nargs)
        read(parser, namespace, values, option_string)


def add_restart(parser: argparse.ArgumentParser) -> None:
    """Add ``--resume`` and ``--overwrite``, of which one can be given."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        '--resume', action='store_true', help='continue a run that was '
        'stopped')
    group.add_argument(
        '--overwrite', action='store_true', help='delete what an earlier run '
        'left in RUN')


def add_config_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, whose values MMEngine reads."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='set values of the config, e.g. '
        'train_dataloader.dataset.pipeline.2.num_proposals=8')
