"""The command ``proposals`` and those on what it makes."""
import argparse

from .common import positive


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
        '--workers',
        type=positive,
        help='number of processes (default: one a core)')
    parser.set_defaults(function=proposals)


def proposals(args: argparse.Namespace) -> None:
    """Run the command ``proposals``."""
    from soco_mm.apis.proposals import describe_proposals, make_proposals
    print(
        describe_proposals(
            make_proposals(args.images, args.out, args.preset, args.workers)))
