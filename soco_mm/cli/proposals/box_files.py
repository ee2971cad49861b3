"""The commands ``proposals import`` and ``proposals export``."""

import argparse

from soco_mm.cli.common import examples, number
from soco_mm.errors import UsageError

from .arguments import add_filter


def add_import(commands) -> None:
    """Add the command ``proposals import``."""
    parser = commands.add_parser(
        'import',
        help='make a store of the boxes in a file',
        description='Make a store of the boxes in a file: the JSON of the '
        "authors' released code, a COCO json (such as MaskCut's), COCO results (such "
        "as CutLER's), or Segment Anything's JSON of an image; or in a folder of such "
        'files. The kind is recognised by the content.',
        epilog=examples(
            'soco-mm proposals import boxes.json --images photos --out proposals',
            'soco-mm proposals import results.json --ann photos.json --score-thr 0.3 '
            '--images photos --out proposals',
        ),
    )
    parser.add_argument(
        'file', metavar='FILE', help='the boxes, a file or a folder of JSON files'
    )
    parser.add_argument(
        '--images',
        required=True,
        metavar='FOLDER',
        help='the folder of the images, which may be nested; file names in a COCO '
        'json are relative to it',
    )
    parser.add_argument(
        '--out', required=True, metavar='STORE', help='the folder to write'
    )
    parser.add_argument('--overwrite', action='store_true', help='replace STORE')
    parser.add_argument(
        '--ann',
        metavar='ANN',
        help='for COCO results: the COCO json with the images that their image_id '
        'refer to',
    )
    kept = parser.add_argument_group('which boxes are kept')
    kept.add_argument(
        '--score-thr',
        type=number,
        metavar='S',
        help='keep boxes with a score (of masks the predicted_iou) of at least S '
        '(default: all)',
    )
    kept.add_argument(
        '--no-filter', action='store_true', help='keep boxes of every shape and size'
    )
    add_filter(kept)
    parser.set_defaults(function=import_)


def import_(args: argparse.Namespace) -> None:
    """Run the command ``proposals import``."""
    from soco_mm.proposals import build_settings
    from soco_mm.proposals.box_files.importing import import_proposals

    shape = {
        key: getattr(args, key) for key in ('max_aspect', 'size_range', 'min_side')
    }
    if args.no_filter and any(value is not None for value in shape.values()):
        raise UsageError(
            '--no-filter keeps every box, so --max-aspect, '
            '--size-range and --min-side do nothing. Leave one '
            'or the other out.'
        )
    filter_cfg = build_settings(**shape)['filter']
    summary = import_proposals(
        args.file,
        args.out,
        images=args.images,
        annotations=args.ann,
        score_thr=args.score_thr,
        filter_cfg=None if args.no_filter else filter_cfg,
        overwrite=args.overwrite,
    )
    print(summary.describe())


def add_export(commands) -> None:
    """Add the command ``proposals export``."""
    parser = commands.add_parser(
        'export',
        help='write proposals as a COCO json',
        description='Write a store of proposals as a COCO json with the one category '
        '"object", which "soco-mm proposals import" reads back.',
        epilog=examples('soco-mm proposals export proposals --out boxes.json'),
    )
    parser.add_argument('store', metavar='STORE', help='the proposals')
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='the COCO json to write'
    )
    parser.set_defaults(function=export)


def export(args: argparse.Namespace) -> None:
    """Run the command ``proposals export``."""
    from soco_mm.proposals.box_files.exporting import export_proposals
    from soco_mm.utils.texts import printable

    made = export_proposals(args.store, args.out)
    print(f'{printable(made.out)}: {made.images} images, {made.boxes} boxes')
    if made.left_out:
        print(
            f'  {made.left_out} images of {printable(args.store)} that '
            'cannot be used are not in it'
        )
