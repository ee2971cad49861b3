"""The command ``finetune``."""

import argparse

from .common import (
    add_config_options,
    add_logging,
    add_restart,
    examples,
    natural,
    positive,
)


def add_finetune(commands) -> None:
    """Add the command ``finetune``."""
    parser = commands.add_parser(
        'finetune',
        help='train an exported detector on annotated images',
        description='Train an exported detector on annotated images, evaluate it '
        'with COCO metrics, and draw what it finds.',
        epilog=examples(
            'soco-mm finetune runs/photos/exported --data train.json --images photos '
            '--val val.json --out runs/detector',
            'soco-mm finetune runs/photos/exported --data data.yaml --out runs/detector'
            ' --classes bolt nut',
            'soco-mm finetune --resume --out runs/detector',
        ),
    )
    parser.add_argument(
        'exported',
        nargs='?',
        metavar='EXPORTED',
        help='the folder that "soco-mm export" or "soco-mm pretrain" wrote (not '
        'needed with --resume, nor are --data, --images and --val)',
    )
    parser.add_argument(
        '--data',
        metavar='ANN',
        help='annotations to train on: a COCO json, the data.yaml of a YOLO data '
        'set, or Pascal VOC (a file of ImageSets/Main, or a folder of xml files)',
    )
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help='the folder of their images (default: where YOLO and Pascal VOC say; '
        'needed for a COCO json)',
    )
    parser.add_argument(
        '--val',
        metavar='ANN',
        help='annotations to evaluate on (default: the val split of a data.yaml, or '
        'of a Pascal VOC folder with ImageSets/Main/val.txt)',
    )
    parser.add_argument(
        '--val-images',
        metavar='FOLDER',
        help='the folder of their images (default: that of --images, unless --val is '
        'another Pascal VOC data set with images of its own)',
    )
    parser.add_argument(
        '--out', required=True, metavar='RUN', help='the folder to write everything to'
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='train and evaluate only these categories (default: all)',
    )
    parser.add_argument(
        '--epochs',
        type=positive,
        metavar='N',
        help='number of epochs (default: 12 for as many images as COCO has, more for '
        'fewer images, at most 100)',
    )
    parser.add_argument(
        '--batch-size',
        type=positive,
        metavar='N',
        help='images per step; the learning rate is scaled to it (default: 4)',
    )
    parser.add_argument(
        '--scale',
        nargs=2,
        type=positive,
        metavar=('LONG', 'SHORT'),
        help='resize images to at most this long and short side, in pixels (default: '
        'that of the detector, mostly 1333 800)',
    )
    parser.add_argument(
        '--workers',
        type=natural,
        metavar='N',
        help='processes that load images (default: one per core, at most 16)',
    )
    parser.add_argument(
        '--scratch',
        action='store_true',
        help='start from random weights, to measure what the pretrained ones gain',
    )
    parser.add_argument(
        '--seed',
        type=natural,
        metavar='N',
        help='seed of all random numbers (default: 0)',
    )
    add_restart(parser)
    add_logging(parser)
    add_config_options(parser, 'optim_wrapper.optimizer.weight_decay=1e-4')
    # None is what is not given, and as it was where a run is resumed.
    parser.set_defaults(function=finetune, scratch=None)


def finetune(args: argparse.Namespace) -> None:
    """Run the command ``finetune``."""
    import json

    from soco_mm import apis

    made = apis.finetune(
        args.exported,
        args.out,
        train=args.data,
        images=args.images,
        val=args.val,
        val_images=args.val_images,
        epochs=args.epochs,
        batch_size=args.batch_size,
        scale=args.scale and tuple(args.scale),
        workers=args.workers,
        scratch=args.scratch,
        classes=args.classes,
        seed=args.seed,
        options=args.cfg_options,
        resume=args.resume,
        overwrite=args.overwrite,
        tensorboard=args.tensorboard,
        verbose=args.verbose,
    )
    best = json.loads(made.metrics.read_text())
    print(f'\nBest after epoch {best["epoch"]}:')
    for kind, name in (('bbox', 'boxes'), ('segm', 'masks')):
        if f'coco/{kind}_mAP' in best:
            print(
                f'  {name}  AP {100 * best[f"coco/{kind}_mAP"]:.1f}  '
                f'AP50 {100 * best[f"coco/{kind}_mAP_50"]:.1f}  '
                f'AP75 {100 * best[f"coco/{kind}_mAP_75"]:.1f}'
            )
    print('\nFiles of this run:')
    for name, path in vars(made).items():
        print(f'  {name:11s} {path}')
