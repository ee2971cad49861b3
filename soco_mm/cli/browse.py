"""The command ``browse``."""

import argparse

from .common import add_config_options, natural, positive


def add_browse(commands) -> None:
    """Add the command ``browse``."""
    parser = commands.add_parser(
        'browse',
        help='draw what training will see',
        description='Draw what training will see, from its own data pipeline:'
        ' each image with its proposals and all its views, objects in one '
        'colour, with their pyramid levels.',
    )
    parser.add_argument(
        'config',
        help='a config, or the name of one under configs/soco; for '
        'a run of soco-mm pretrain the one in its folder',
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        help='where to (default: work_dirs/browse/NAME_OF_CONFIG)',
    )
    parser.add_argument(
        '--number',
        type=positive,
        default=20,
        metavar='N',
        help='of how many images (default: %(default)s)',
    )
    parser.add_argument(
        '--start',
        type=natural,
        default=0,
        metavar='I',
        help='index of the first, from 0',
    )
    parser.add_argument(
        '--epoch', type=natural, default=0, metavar='E', help='of which epoch, from 0'
    )
    add_config_options(parser)
    parser.set_defaults(function=browse)


def browse(args: argparse.Namespace) -> None:
    """Run the command ``browse``."""
    from soco_mm.apis.browse import browse
    from soco_mm.utils.files import printable

    made = browse(
        args.config,
        args.out,
        number=args.number,
        start=args.start,
        epoch=args.epoch,
        options=args.cfg_options,
    )
    print(f'Pictures of {len(made) - 1} images: {printable(str(made[-1]))}')
