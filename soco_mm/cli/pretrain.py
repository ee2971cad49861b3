"""The command ``pretrain``."""

import argparse

from .common import add_config_options, add_restart, positive
from .handoff import add_detector, check_detector_flags
from .proposals.arguments import add_preset, add_root, add_stretch


def add_pretrain(commands) -> None:
    """Add the command ``pretrain``."""
    parser = commands.add_parser(
        'pretrain', help='from a folder of images to a detector that starts from them'
    )
    parser.add_argument(
        'images',
        nargs='*',
        metavar='IMAGES',
        help='the folder of unlabelled images, nested as you like, or '
        'several; a text file with a path a line; or a COCO json (not needed '
        'with --resume)',
    )
    add_root(parser)
    parser.add_argument(
        '--out',
        required=True,
        metavar='RUN',
        help='the folder that everything is written to',
    )
    parser.add_argument(
        '--config',
        help='a config, or the name of one under configs/soco '
        '(default: soco_r50_fpn_100e)',
    )
    parser.add_argument(
        '--epochs',
        type=positive,
        help='length of the training (default: as the config says)',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        help='images a step (default: as the config says; 16 on a CPU)',
    )
    parser.add_argument(
        '--workers',
        type=int,
        help='processes that load images and make proposals (default: one a core)',
    )
    add_preset(parser)
    parser.add_argument(
        '--proposals',
        metavar='STORE',
        help='proposals that soco-mm proposals made of IMAGES (default: make them)',
    )
    add_stretch(parser)
    add_detector(parser)
    add_restart(parser)
    add_config_options(parser)
    # None is what is not given, and as it was where a run is resumed.
    parser.set_defaults(function=pretrain, preset=None, adapt=None, backbone_only=None)


def pretrain(args: argparse.Namespace) -> None:
    """Run the command ``pretrain``."""
    check_detector_flags(args)
    from soco_mm.apis.pretrain import pretrain

    made = pretrain(
        args.images or None,
        args.out,
        config=args.config,
        options=args.cfg_options,
        epochs=args.epochs,
        batch_size=args.batch_size,
        workers=args.workers,
        preset=args.preset,
        proposals=args.proposals,
        root=args.root,
        stretch=args.stretch,
        detector=args.detector,
        adapt=args.adapt,
        backbone_only=args.backbone_only,
        resume=args.resume,
        overwrite=args.overwrite,
    )
    print('\nUse next:')
    for name, path in made.items():
        print(f'  {name:11s} {path}')
