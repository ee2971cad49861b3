"""The command ``proposals merge``."""

import argparse


def add_merge(commands) -> None:
    """Add the command ``proposals merge``."""
    parser = commands.add_parser('merge', help='make one store of all shards')
    parser.add_argument('shards', nargs='+', help='the stores made with --shard')
    parser.add_argument(
        '--out', required=True, metavar='STORE', help='the folder to write'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace STORE')
    parser.set_defaults(function=merge)


def merge(args: argparse.Namespace) -> None:
    """Run the command ``proposals merge``."""
    from soco_mm.proposals.make import merge_proposals
    from soco_mm.proposals.summary import describe_proposals

    print(describe_proposals(merge_proposals(args.shards, args.out, args.overwrite)))
