"""The command ``doctor``."""

import argparse
import sys


def add_doctor(commands) -> None:
    """Add the command ``doctor``."""
    parser = commands.add_parser(
        'doctor', help='check this installation and say how to fix it'
    )
    parser.add_argument('--quiet', action='store_true', help='print what fails alone')
    parser.set_defaults(function=doctor)


def doctor(args: argparse.Namespace) -> None:
    """Run the command ``doctor``."""
    from soco_mm.apis.doctor import check_installation

    sys.exit(0 if check_installation(args.quiet) else 1)
