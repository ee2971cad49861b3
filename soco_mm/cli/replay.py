"""The command ``replay``."""

import argparse
import sys

from .common import examples


def add_replay(commands) -> None:
    """Add the command ``replay``."""
    parser = commands.add_parser(
        'replay',
        help='repeat a training step that was not finite, and say where it began',
        description='Repeat the step in which a loss or weights of a training became '
        'NaN or infinite, and name the first module or gradient that does. Exit code '
        '1 if there is one, 0 if all values are finite this time.',
        epilog=examples('soco-mm replay RUN/not_finite/iter_1200.pth'),
    )
    parser.add_argument(
        'file', metavar='FILE', help='what the training wrote to RUN/not_finite'
    )
    parser.set_defaults(function=replay)


def replay(args: argparse.Namespace) -> None:
    """Run the command ``replay``."""
    from soco_mm import apis

    if apis.replay(args.file).reproduced:
        sys.exit(1)
