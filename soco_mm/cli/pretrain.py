"""The command ``pretrain``."""

import argparse
import shlex

from .common import (
    add_batch,
    add_config_options,
    add_logging,
    add_precision,
    add_restart,
    at_least,
    examples,
    natural,
    positive,
)
from .handoff import add_detector, check_detector_flags
from .proposals.arguments import add_fit, add_preset, add_root, add_stretch


def add_pretrain(commands) -> None:
    """Add the command ``pretrain``."""
    parser = commands.add_parser(
        'pretrain',
        help='pretrain a detector on a folder of unlabelled images',
        description='Pretrain a detector on unlabelled images: make object '
        'proposals, train on them, and export the weights with an MMDetection '
        'config that uses them. A run that was stopped continues with --resume.',
        epilog=examples(
            'soco-mm pretrain photos --out runs/photos',
            'soco-mm pretrain photos --out runs/quick --config soco_r18_fpn_quick '
            '--epochs 20',
            'soco-mm pretrain --resume --out runs/photos',
        ),
    )
    parser.add_argument(
        'images',
        nargs='*',
        metavar='IMAGES',
        help='one or more folders of unlabelled images, which may be nested; a text '
        'file with one path per line; or a COCO json (not needed with --resume)',
    )
    add_root(parser)
    parser.add_argument(
        '--out', required=True, metavar='RUN', help='the folder to write everything to'
    )
    parser.add_argument(
        '--config',
        metavar='CONFIG',
        help='a config file, or a name that "soco-mm configs" lists (default: '
        'the model of --detector, else soco_r50_fpn_100e; with --init and fewer than '
        '100,000 images a short recipe)',
    )
    parser.add_argument(
        '--epochs',
        type=positive,
        metavar='N',
        help='number of epochs (default: that of the config)',
    )
    parser.add_argument(
        '--train',
        metavar='PARTS',
        help='train only these parts, of backbone, neck and head, separated by '
        'commas; the others are frozen (default: as the config says)',
    )
    parser.add_argument(
        '--batch-size',
        type=at_least(2),
        metavar='N',
        help='images per batch (default: that of the config; at most 16 on a '
        'CPU, 32 of short recipes)',
    )
    add_batch(parser)
    add_precision(parser)
    parser.add_argument(
        '--checkpoint-every',
        metavar='TIME',
        help='write a checkpoint within epochs too after this time, such as 30s, 10min '
        'or 1h; less often if that took more than 2 %% of the time (default: as the '
        'config says, 10min)',
    )
    parser.add_argument(
        '--workers',
        type=natural,
        metavar='N',
        help='processes that load images and make proposals (default: one per core; '
        'at most 16 load images)',
    )
    add_preset(parser)
    add_fit(parser, measured=True)
    parser.add_argument(
        '--proposals',
        metavar='STORE',
        help='use the proposals that "soco-mm proposals" made of IMAGES (default: '
        'make them)',
    )
    add_stretch(parser)
    parser.add_argument(
        '--init',
        metavar='WEIGHTS',
        help='file of weights to start from: a detector or backbone of MMDetection, '
        'MMPretrain, timm, torchvision or detectron2, safetensors, or a checkpoint of '
        'an earlier run (default: random weights)',
    )
    parser.add_argument(
        '--init-partial',
        action='store_true',
        help='with --init: load what fits, also if the backbone is not filled whole',
    )
    parser.add_argument(
        '--init-licence',
        metavar='TEXT',
        help='with --init: the licence of WEIGHTS, for RUN/provenance.json',
    )
    add_detector(parser)
    add_restart(parser)
    add_logging(parser)
    add_config_options(parser, 'train_dataloader.dataset.pipeline.2.num_proposals=8')
    # None is what is not given, and as it was where a run is resumed.
    parser.set_defaults(function=pretrain, preset=None, adapt=None, backbone_only=None)
    parser.set_defaults(init_partial=None, auto_scale=None)


def pretrain(args: argparse.Namespace) -> None:
    """Run the command ``pretrain``."""
    check_detector_flags(args)
    from soco_mm import apis

    made = apis.pretrain(
        args.images or None,
        args.out,
        config=args.config,
        options=args.cfg_options,
        epochs=args.epochs,
        batch_size=args.batch_size,
        accumulate=args.accumulate,
        auto_scale=args.auto_scale,
        precision=args.precision,
        checkpoint_every=args.checkpoint_every,
        workers=args.workers,
        preset=args.preset,
        ann=args.ann,
        proposals=args.proposals,
        root=args.root,
        stretch=args.stretch,
        detector=args.detector,
        adapt=args.adapt,
        backbone_only=args.backbone_only,
        parts=args.parts,
        train=args.train,
        init=args.init,
        init_partial=args.init_partial,
        init_licence=args.init_licence,
        resume=args.resume,
        overwrite=args.overwrite,
        tensorboard=args.tensorboard,
        verbose=args.verbose,
    )
    print('\nFiles of this run:')
    for name, path in vars(made).items():
        print(f'  {name:11s} {path}')
    print(f'How it went, on one page: soco-mm report {shlex.quote(args.out)}')
