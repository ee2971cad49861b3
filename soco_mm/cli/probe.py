"""The command ``probe``."""

import argparse

from .common import natural, number, positive


def add_probe(commands) -> None:
    """Add the command ``probe``."""
    parser = commands.add_parser(
        'probe',
        help='measure what frozen features are worth',
        description='Measure what the frozen features of a pretrained '
        'backbone are worth on labelled images, or annotated objects: the '
        'nearest training images vote (knn, a quick look), or a linear '
        "classifier is trained (linear, the paper's evaluation).",
    )
    parser.add_argument('checkpoint', help='exported weights, or a training checkpoint')
    parser.add_argument(
        '--train',
        required=True,
        metavar='DATA',
        help='labelled images to '
        'learn from, one folder a class; or annotations (a COCO json, the '
        'data.yaml of a YOLO data set, Pascal VOC), whose objects are '
        'classified',
    )
    parser.add_argument(
        '--val',
        metavar='DATA',
        help='images to classify, in folders of the '
        'same names, or annotations (default: val of the data set, if '
        '--train names a data.yaml, or a Pascal VOC folder with '
        'ImageSets/Main/val.txt)',
    )
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help='the folder of the images of '
        'annotations (default: where the layout says; a COCO json does not)',
    )
    parser.add_argument(
        '--val-images', metavar='FOLDER', help='that of --val (default: the same)'
    )
    parser.add_argument(
        '--method',
        choices=['knn', 'linear'],
        default='knn',
        help='(default: %(default)s)',
    )
    parser.add_argument(
        '--config',
        help='the config of the pretraining (default: the one '
        'in the checkpoint, else soco_r50_fpn_100e)',
    )
    parser.add_argument(
        '--out',
        metavar='FOLDER',
        help='where METHOD.json goes, and the '
        'training of linear (default: nowhere, linear '
        'work_dirs/linear_probe)',
    )
    parser.add_argument(
        '--batch-size',
        type=positive,
        metavar='N',
        help='images a step (default: 256, and 64 where nothing is trained)',
    )
    parser.add_argument(
        '--workers',
        type=natural,
        metavar='N',
        help='processes that load images (default: one a core)',
    )
    parser.add_argument(
        '--k',
        type=positive,
        metavar='K',
        help='knn: how many images vote (default: 20)',
    )
    parser.add_argument(
        '--epochs',
        type=positive,
        metavar='N',
        help='linear: length of the training (default: 100)',
    )
    parser.add_argument(
        '--lr',
        type=number,
        metavar='LR',
        help='linear: learning rate for '
        '256 images, scaled to the batch size (default: 30)',
    )
    parser.set_defaults(function=probe)


def probe(args: argparse.Namespace) -> None:
    """Run the command ``probe``."""
    from soco_mm.errors import UsageError

    for flag, method in (('k', 'knn'), ('epochs', 'linear'), ('lr', 'linear')):
        if getattr(args, flag) is not None and args.method != method:
            raise UsageError(f'--{flag} is for --method {method}.')
    from soco_mm.coco import has_splits
    from soco_mm.evaluation.probe_config import probe_config
    from soco_mm.evaluation.probes import knn_probe, linear_probe

    if args.val is None and not has_splits(args.train):
        raise UsageError(
            f'{args.train} does not say what to classify. Name it with --val.'
        )
    cfg = probe_config(
        args.checkpoint,
        args.config,
        args.batch_size,
        args.workers,
        args.epochs,
        args.lr,
    )
    folders = dict(images=args.images, val_images=args.val_images)
    if args.method == 'knn':
        result = knn_probe(
            cfg,
            args.checkpoint,
            args.train,
            args.val,
            k=args.k or 20,
            out=args.out,
            **folders,
        )
    else:
        result = linear_probe(
            cfg,
            args.checkpoint,
            args.out or 'work_dirs/linear_probe',
            args.train,
            args.val,
            **folders,
        )
    print(describe(result))


def describe(result: dict) -> str:
    """The result as a line for people."""
    accuracies = ', '.join(
        f'top-{k} {result[f"top{k}"]:.2f} %' for k in (1, 5) if f'top{k}' in result
    )
    return (
        f'{result["method"]}: {accuracies} ({result["num_val"]} '
        f'{result["samples"]} in {result["num_classes"]} classes, learnt '
        f'from {result["num_train"]})'
    )
