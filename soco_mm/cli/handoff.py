"""The commands ``export`` and ``import``, for trained weights."""

import argparse
import shlex

from soco_mm.errors import UsageError

from .common import examples

# Those of soco_mm.checkpoint.libraries.files, which needs PyTorch.
FORMATS = ('detectron2', 'torchvision', 'safetensors', 'mmpretrain', 'timm')


def add_export(commands) -> None:
    """Add the command ``export``."""
    parser = commands.add_parser(
        'export',
        help='export a checkpoint to MMDetection or another library',
        description='Export a pretraining checkpoint: to MMDetection, as a folder '
        'with the weights, a config that loads them, and a report of each tensor; or '
        'with --format to another library, as one file.',
        epilog=examples(
            'soco-mm export runs/photos/checkpoints/epoch_100.pth --out exported',
            'soco-mm export epoch_100.pth --out exported --detector '
            'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py --adapt',
            'soco-mm export epoch_100.pth --out soco.pth --format torchvision',
        ),
    )
    parser.add_argument(
        'config',
        nargs='?',
        metavar='CONFIG',
        help='the config of the pretraining, a file or a name that "soco-mm configs" '
        'lists (default: the one in the checkpoint)',
    )
    parser.add_argument(
        'checkpoint', metavar='CHECKPOINT', help='a checkpoint of the pretraining'
    )
    parser.add_argument(
        '--out',
        required=True,
        metavar='PATH',
        help='the folder to write; with --format the file',
    )
    parser.add_argument(
        '--format',
        choices=FORMATS,
        help='write one file for this library (default: a folder for MMDetection)',
    )
    add_detector(parser)
    parser.set_defaults(function=export)


def add_detector(parser) -> None:
    """Add the arguments that choose a detector."""
    parser.add_argument(
        '--detector',
        metavar='CONFIG',
        help='the MMDetection config of your detector, a path or a name such as '
        'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py (default: the Mask R-CNN '
        'that fits the model)',
    )
    parser.add_argument(
        '--adapt',
        action='store_true',
        help='with --detector: give it the norm layers, strides and image '
        'normalisation of the pretrained model',
    )
    parser.add_argument(
        '--backbone-only',
        action='store_true',
        help='with --detector: fill only its backbone, for detectors without an FPN '
        'or with another neck (DETR, YOLOF); short for --parts backbone',
    )
    parser.add_argument(
        '--parts',
        metavar='PARTS',
        help='hand over only these parts: of backbone, neck, head and rpn, separated '
        'by commas, or all (default: what the recipe hands over, which in those of '
        'the paper is all)',
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
    from soco_mm import apis
    from soco_mm.detectors.pipelines import can_finetune

    if args.format is not None:
        written = apis.export_weights(
            args.checkpoint,
            args.out,
            format=args.format,
            config=args.config,
            parts=args.parts,
        )
        print(written.describe())
        return
    report = apis.export_detector(
        args.checkpoint,
        args.out,
        config=args.config,
        detector=args.detector,
        adapt=args.adapt,
        backbone_only=args.backbone_only,
        parts=args.parts,
    )
    print(report.describe())
    with_ours = f'with soco-mm finetune {shlex.quote(str(args.out))} ..., or '
    print(
        f'Train it {with_ours * can_finetune(report.config)}with MMDetection from '
        f'{report.config}.'
    )


def add_import(commands) -> None:
    """Add the command ``import``."""
    parser = commands.add_parser(
        'import',
        help="convert a checkpoint of the authors' released code",
        description="Convert a checkpoint of the authors' released code (FPN, SoCo* "
        'or C4) into one that "soco-mm export" reads.',
        epilog=examples(
            'soco-mm import SoCo_FPN_100e.pth --out soco.pth',
            'soco-mm export soco.pth --out exported',
        ),
    )
    parser.add_argument(
        'released', metavar='CHECKPOINT', help='the released checkpoint'
    )
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='the checkpoint to write'
    )
    parser.set_defaults(function=import_)


def import_(args: argparse.Namespace) -> None:
    """Run the command ``import``."""
    from soco_mm import apis

    number = apis.import_released(args.released, args.out)
    print(f'{args.out}: {number} entries, all of {args.released}.')
