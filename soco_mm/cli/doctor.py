"""The command ``doctor``."""

import argparse
import sys

from .common import examples


def add_doctor(commands) -> None:
    """Add the command ``doctor``."""
    parser = commands.add_parser(
        'doctor',
        help='check the installation and say how to fix it',
        description='Check everything that the commands need. What fails is printed '
        'with the command that fixes it, and the exit code is 1.',
        epilog=examples('soco-mm doctor'),
    )
    parser.add_argument('--quiet', action='store_true', help='print failures only')
    parser.set_defaults(function=doctor)


def doctor(args: argparse.Namespace) -> None:
    """Run the command ``doctor``."""
    from soco_mm.installation import check_installation

    sys.exit(0 if check_installation(args.quiet) else 1)
