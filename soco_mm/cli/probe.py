"""The command ``probe``."""

import argparse

from .common import examples, natural, number, positive


def add_probe(commands) -> None:
    """Add the command ``probe``."""
    parser = commands.add_parser(
        'probe',
        help='evaluate frozen features by k-NN or a linear classifier',
        description='Evaluate the frozen features of a pretrained backbone on '
        'labelled images or annotated objects: by a vote of the nearest training '
        'images (knn, takes minutes), or by training a linear classifier (linear, '
        "the paper's evaluation).",
        epilog=examples(
            'soco-mm probe runs/photos/exported/soco_weights.pth --train train --val '
            'val',
            'soco-mm probe soco_weights.pth --train data.yaml --method linear '
            '--out runs/probe',
        ),
    )
    parser.add_argument(
        'checkpoint',
        metavar='CHECKPOINT',
        help='exported weights, or a training checkpoint',
    )
    parser.add_argument(
        '--train',
        required=True,
        metavar='DATA',
        help='labelled images to learn from, one folder per class; or annotations (a '
        'COCO json, the data.yaml of a YOLO data set, Pascal VOC), whose objects are '
        'classified',
    )
    parser.add_argument(
        '--val',
        metavar='DATA',
        help='images to classify, in folders of the same names, or annotations '
        '(default: the val split of a data.yaml, or of a Pascal VOC folder with '
        'ImageSets/Main/val.txt)',
    )
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help='the folder of the images of annotations (default: where YOLO and Pascal '
        'VOC say; needed for a COCO json)',
    )
    parser.add_argument(
        '--val-images',
        metavar='FOLDER',
        help='the folder of the images of --val (default: that of --images, unless '
        '--val is another Pascal VOC data set with images of its own)',
    )
    parser.add_argument(
        '--method',
        choices=['knn', 'linear'],
        default='knn',
        help='how the features are evaluated (default: %(default)s)',
    )
    parser.add_argument(
        '--config',
        metavar='CONFIG',
        help='the config of the pretraining (default: the one in the checkpoint, else '
        'soco_r50_fpn_100e)',
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        help='the folder to write METHOD.json to, and the training of linear '
        '(default: none for knn, work_dirs/linear_probe for linear)',
    )
    parser.add_argument(
        '--batch-size',
        type=positive,
        metavar='N',
        help='images per step (default: 64 for knn, 256 for linear)',
    )
    parser.add_argument(
        '--workers',
        type=natural,
        metavar='N',
        help='processes that load images (default: one per core, at most 16)',
    )
    parser.add_argument(
        '--k',
        type=positive,
        metavar='K',
        help='knn: number of images that vote (default: 20)',
    )
    parser.add_argument(
        '--epochs',
        type=positive,
        metavar='N',
        help='linear: number of epochs (default: 100)',
    )
    parser.add_argument(
        '--lr',
        type=number,
        metavar='LR',
        help='linear: learning rate for 256 images, scaled to the batch size '
        '(default: 30)',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='linear: continue from the last checkpoint in --out, if there is one',
    )
    parser.set_defaults(function=probe)


def probe(args: argparse.Namespace) -> None:
    """Run the command ``probe``."""
    from soco_mm.errors import UsageError

    for flag, method in (('k', 'knn'), ('epochs', 'linear'), ('lr', 'linear')):
        if getattr(args, flag) is not None and args.method != method:
            raise UsageError(f'--{flag} is for --method {method}.')
    if args.resume and args.method != 'linear':
        raise UsageError('--resume is for --method linear.')
    from soco_mm import apis

    result = apis.probe(
        args.checkpoint,
        args.train,
        val=args.val,
        images=args.images,
        val_images=args.val_images,
        method=args.method,
        config=args.config,
        k=args.k or 20,
        epochs=args.epochs,
        lr=args.lr,
        batch_size=args.batch_size,
        workers=args.workers,
        out=args.out,
        resume=args.resume,
    )
    print(result.describe())
