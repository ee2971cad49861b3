"""The command ``plan``."""

import argparse

from .common import add_config_options, examples, number, positive


def add_plan(commands) -> None:
    """Add the command ``plan``."""
    parser = commands.add_parser(
        'plan',
        help='say what a pretraining costs in memory, time, loaders and disk',
        description='Before a pretraining: memory of a GPU and the largest batch that '
        'fits, operations by part, images/s and days on V100, A100 and H100 at best, '
        'loaders, and disk. A step is counted on this machine without being computed, '
        'in less than a minute and without a GPU.',
        epilog=examples(
            'soco-mm plan soco_r50_fpn_100e',
            'soco-mm plan soco_r50_fpn_100e --gpus 4 --batch-size 64 --memory 24 '
            '--images 100000',
            'soco-mm plan --detector mmdet::retinanet/retinanet_r50_fpn_1x_coco.py',
        ),
    )
    parser.add_argument(
        'config',
        nargs='?',
        metavar='CONFIG',
        help='the name of a recipe, or a config file (default: soco_r50_fpn_100e)',
    )
    parser.add_argument(
        '--detector',
        metavar='CONFIG',
        help='plan the pretraining of the own model of this MMDetection detector '
        '(default: the model of the recipe)',
    )
    parser.add_argument(
        '--gpus', type=positive, default=1, metavar='N', help='GPUs (default: 1)'
    )
    parser.add_argument(
        '--memory',
        type=number,
        metavar='GIB',
        help='memory of a GPU in GiB, for the largest batch that fits (default: none)',
    )
    parser.add_argument(
        '--images',
        type=positive,
        metavar='N',
        help='images of the data set (default: those of the config where they are '
        "here, else ImageNet's)",
    )
    parser.add_argument(
        '--batch-size',
        type=positive,
        metavar='B',
        help='images of a batch on each GPU (default: that of the config)',
    )
    parser.add_argument(
        '--json', action='store_true', help='print all numbers as JSON, in bytes'
    )
    add_config_options(parser, 'optim_wrapper.type=OptimWrapper')
    parser.set_defaults(function=plan)


def plan(args: argparse.Namespace) -> None:
    """Run the command ``plan``."""
    import json
    from dataclasses import asdict

    from soco_mm import apis
    from soco_mm.planning.report import describe_plan

    made = apis.plan(
        args.config,
        options=args.cfg_options,
        detector=args.detector,
        batch_size=args.batch_size,
        gpus=args.gpus,
        memory=args.memory,
        images=args.images,
    )
    print(json.dumps(asdict(made), indent=1) if args.json else describe_plan(made))
