"""The command ``proposals merge``."""

import argparse

from soco_mm.cli.common import examples


def add_merge(commands) -> None:
    """Add the command ``proposals merge``."""
    parser = commands.add_parser(
        'merge',
        help='join the stores that were made with --shard',
        description='Join the stores of all shards into one, which is the same as if '
        'one call had made it.',
        epilog=examples(
            'soco-mm proposals photos --out part1 --shard 1/2',
            'soco-mm proposals photos --out part2 --shard 2/2',
            'soco-mm proposals merge part1 part2 --out proposals',
        ),
    )
    parser.add_argument(
        'shards', nargs='+', metavar='STORE', help='the stores made with --shard'
    )
    parser.add_argument(
        '--out', required=True, metavar='STORE', help='the folder to write'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace STORE')
    parser.set_defaults(function=merge)


def merge(args: argparse.Namespace) -> None:
    """Run the command ``proposals merge``."""
    from soco_mm.proposals import merge_proposals

    merged = merge_proposals(args.shards, args.out, overwrite=args.overwrite)
    print(merged.describe())
