"""The command ``finetune``."""

import argparse

from .common import add_config_options, add_restart, natural, positive


def add_finetune(commands) -> None:
    """Add the command ``finetune``."""
    parser = commands.add_parser(
        'finetune',
        help='train an exported detector on annotated images, and show what it finds',
    )
    parser.add_argument(
        'exported',
        nargs='?',
        help='the folder that soco-mm export or '
        'pretrain has written (like --data, --images and --val not needed '
        'with --resume)',
    )
    parser.add_argument(
        '--data',
        metavar='ANN',
        help='the annotations to train with: a COCO json, the data.yaml of a '
        'YOLO data set, or Pascal VOC (a file of ImageSets/Main, or a folder '
        'of xml files); the classes are its categories',
    )
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help='the folder of its images (default: where the layout says; a '
        'COCO json does not)',
    )
    parser.add_argument(
        '--val',
        metavar='ANN',
        help='the annotations to evaluate on (default: val of the data set, '
        'if --data names a data.yaml, or a Pascal VOC folder with '
        'ImageSets/Main/val.txt)',
    )
    parser.add_argument(
        '--val-images',
        metavar='FOLDER',
        help='the folder of its images (default: the same)',
    )
    parser.add_argument(
        '--out',
        required=True,
        metavar='RUN',
        help='the folder that everything is written to',
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='train and evaluate these categories alone (default: all)',
    )
    parser.add_argument(
        '--epochs',
        type=positive,
        help='length of the training (default: 12 for as many images as COCO '
        'has, more for fewer, up to 100)',
    )
    parser.add_argument(
        '--batch-size',
        type=positive,
        help='images a step (default: 4); the learning rate follows',
    )
    parser.add_argument(
        '--scale',
        nargs=2,
        type=positive,
        metavar=('LONG', 'SHORT'),
        help='resize images so that their long and short side have no more '
        "than these pixels (default: as in the detector's config, mostly 1333 "
        '800)',
    )
    parser.add_argument(
        '--workers',
        type=natural,
        help='processes that load images (default: one a core)',
    )
    parser.add_argument(
        '--scratch',
        action='store_true',
        help='start from random weights instead, to see what the pretrained '
        'ones are worth',
    )
    parser.add_argument(
        '--seed', type=natural, help='of all random numbers (default: 0)'
    )
    add_restart(parser)
    add_config_options(parser)
    # None is what is not given, and as it was where a run is resumed.
    parser.set_defaults(function=finetune, scratch=None)


def finetune(args: argparse.Namespace) -> None:
    """Run the command ``finetune``."""
    import json

    from soco_mm.apis.finetune import finetune

    made = finetune(
        args.exported,
        args.data,
        args.images,
        args.val,
        args.out,
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
    )
    best = json.loads(made['metrics'].read_text())
    print(f'\nBest after epoch {best["epoch"]}:')
    for kind, name in (('bbox', 'boxes'), ('segm', 'masks')):
        if f'coco/{kind}_mAP' in best:
            print(
                f'  {name}  AP {100 * best[f"coco/{kind}_mAP"]:.1f}  '
                f'AP50 {100 * best[f"coco/{kind}_mAP_50"]:.1f}  '
                f'AP75 {100 * best[f"coco/{kind}_mAP_75"]:.1f}'
            )
    print('\nUse next:')
    for name, path in made.items():
        print(f'  {name:11s} {path}')
