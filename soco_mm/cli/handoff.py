"""The commands ``export`` and ``import``, for trained weights."""

import argparse
import shlex

from soco_mm.errors import UsageError

# Those of soco_mm.apis.export_formats, which needs PyTorch.
FORMATS = ('detectron2', 'torchvision', 'safetensors', 'mmpretrain', 'timm')


def add_export(commands) -> None:
    """Add the command ``export``."""
    parser = commands.add_parser(
        'export',
        help='hand a training checkpoint over to MMDetection, or to another library',
    )
    parser.add_argument(
        'config',
        nargs='?',
        help='the config of the pretraining, or its name under configs/soco '
        '(default: the one in the checkpoint)',
    )
    parser.add_argument('checkpoint', help='a checkpoint of it')
    parser.add_argument(
        '--out',
        required=True,
        metavar='PATH',
        help='the folder to write, and with --format the file',
    )
    parser.add_argument(
        '--format',
        choices=FORMATS,
        help='write one file for another library (default: a folder for MMDetection)',
    )
    add_detector(parser)
    parser.set_defaults(function=export)


def add_detector(parser) -> None:
    """Add the arguments that choose a detector."""
    parser.add_argument(
        '--detector',
        metavar='CONFIG',
        help='the MMDetection config of your detector, a path or '
        'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py (default: the Mask '
        'R-CNN that the model is made for)',
    )
    parser.add_argument(
        '--adapt',
        action='store_true',
        help='give that detector the norm layers and the normalisation of '
        'images that the pretrained model has',
    )
    parser.add_argument(
        '--backbone-only',
        action='store_true',
        help='fill its backbone alone, for detectors without an FPN or with '
        'another neck (DETR, YOLOF)',
    )


def check_detector_flags(args: argparse.Namespace) -> None:
    """Refuse flags that would change nothing.

    Raises:
        UsageError: If there are any.
    """
    if args.detector is None and (args.adapt or args.backbone_only):
        raise UsageError(
            '--adapt and --backbone-only are for a detector of your own: add '
            '--detector CONFIG, or leave them out.'
        )


def export(args: argparse.Namespace) -> None:
    """Run the command ``export``."""
    check_detector_flags(args)
    if args.format is not None and args.detector:
        raise UsageError(
            f'--detector is for MMDetection; leave it out with --format {args.format}.'
        )
    from soco_mm.apis.export import export_detector
    from soco_mm.apis.export_formats import export_format
    from soco_mm.engine.config import load_config

    cfg = None if args.config is None else load_config(args.config)
    if args.format is not None:
        report = export_format(cfg, args.checkpoint, args.out, args.format)
        print(report.describe())
        return
    report = export_detector(
        cfg,
        args.checkpoint,
        args.out,
        detector=args.detector,
        adapt=args.adapt,
        backbone_only=args.backbone_only,
    )
    print(report.describe())
    print(
        f'Train it with soco-mm finetune {shlex.quote(str(args.out))} ..., '
        f'or with MMDetection from {report.config}.'
    )


def add_import(commands) -> None:
    """Add the command ``import``."""
    parser = commands.add_parser(
        'import', help='turn a released checkpoint into one of this plugin'
    )
    parser.add_argument('released', help='a released checkpoint: FPN, SoCo* or C4')
    parser.add_argument('out', help='the file to write')
    parser.set_defaults(function=import_)


def import_(args: argparse.Namespace) -> None:
    """Run the command ``import``."""
    from soco_mm.apis.importing import import_released

    number = import_released(args.released, args.out)
    print(f'{args.out}: {number} entries, all of {args.released}.')
