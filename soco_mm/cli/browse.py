"""The command ``browse``."""

import argparse

from .common import add_config_options, examples, natural, positive


def add_browse(commands) -> None:
    """Add the command ``browse``."""
    parser = commands.add_parser(
        'browse',
        help='draw the views and boxes that training sees',
        description='Draw what training sees, from its own data pipeline: each '
        'image with its proposals and all its views, each object in one colour, '
        'with its pyramid level.',
        epilog=examples(
            'soco-mm browse runs/photos/soco_r50_fpn_100e.py',
            'soco-mm browse soco_r50_fpn_100e --num-images 5 --out pictures '
            '--cfg-options train_dataloader.dataset.data_root=photos '
            'train_dataloader.dataset.proposals=proposals',
        ),
    )
    parser.add_argument(
        'config',
        metavar='CONFIG',
        help='a config file, such as the one in the folder of a run of "soco-mm '
        'pretrain", or a name that "soco-mm configs" lists',
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        help='the folder to write (default: work_dirs/browse/NAME_OF_CONFIG)',
    )
    parser.add_argument(
        '--num-images',
        type=positive,
        default=20,
        metavar='N',
        help='how many images to draw (default: %(default)s)',
    )
    parser.add_argument(
        '--start',
        type=natural,
        default=0,
        metavar='I',
        help='index of the first image (default: %(default)s)',
    )
    parser.add_argument(
        '--epoch',
        type=natural,
        default=0,
        metavar='E',
        help='epoch whose random views are drawn, from 0 (default: %(default)s)',
    )
    add_config_options(parser, 'train_dataloader.dataset.pipeline.2.num_proposals=8')
    parser.set_defaults(function=browse)


def browse(args: argparse.Namespace) -> None:
    """Run the command ``browse``."""
    from soco_mm import apis
    from soco_mm.utils.texts import printable

    made = apis.browse(
        args.config,
        args.out,
        num_images=args.num_images,
        start=args.start,
        epoch=args.epoch,
        options=args.cfg_options,
    )
    print(f'Pictures of {len(made.pictures)} images: {printable(str(made.page))}')
