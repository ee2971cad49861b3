"""The command ``soco-mm``: parses arguments and calls :mod:`soco_mm.apis`."""
import argparse
import sys
from typing import Callable, Optional, Sequence

from soco_mm.utils.errors import SoCoError
from soco_mm.version import __version__


def run(main: Callable) -> None:
    """Run a program; what a user can mend ends it with one sentence."""
    try:
        main()
    except SoCoError as error:
        print(f'ERROR: {error}', file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print('\nInterrupted.', file=sys.stderr)
        sys.exit(130)


def add_proposals(commands) -> None:
    """Add the command ``proposals``."""
    parser = commands.add_parser(
        'proposals', help='make the object proposals of a folder of images')
    parser.add_argument('images', help='the folder of images')
    parser.add_argument(
        '--out', required=True, help='the folder to write the proposals to')
    parser.add_argument(
        '--preset',
        choices=['paper', 'released'],
        default='paper',
        help='parameters of the paper or of its released code '
        '(default: paper)')
    parser.add_argument(
        '--workers', type=int, help='number of processes (default: one a core)')
    parser.set_defaults(function=proposals)


def proposals(args: argparse.Namespace) -> None:
    """Run the command ``proposals``."""
    from soco_mm.apis.proposals import describe_proposals, make_proposals
    print(
        describe_proposals(
            make_proposals(args.images, args.out, args.preset, args.workers)))


def main(arguments: Optional[Sequence[str]] = None) -> None:
    """Run ``soco-mm``."""
    parser = argparse.ArgumentParser(
        prog='soco-mm',
        description='Pretrain whole detectors on unlabelled images (SoCo).')
    parser.add_argument(
        '--version', action='version', version=f'soco_mm {__version__}')
    commands = parser.add_subparsers(
        dest='command', required=True, metavar='COMMAND')
    for add in (add_proposals, ):
        add(commands)
    args = parser.parse_args(arguments)
    run(lambda: args.function(args))


if __name__ == '__main__':
    main()
