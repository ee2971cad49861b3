"""The command ``proposals report``."""

import argparse

from soco_mm.cli.common import examples


def add_report(commands) -> None:
    """Add the command ``proposals report``."""
    parser = commands.add_parser(
        'report',
        help='write an HTML page that shows how good proposals are',
        description='Write one HTML page with figures, distributions and pictures of '
        'a store of proposals, and advice on parameters that do not fit the images. '
        'It can be read offline and sent as one file.',
        epilog=examples(
            'soco-mm proposals report runs/photos/proposals',
            'soco-mm proposals report proposals --ann val.json --out report.html',
        ),
    )
    parser.add_argument('store', metavar='STORE', help='the proposals')
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help='the folder of the images (default: where they were when the proposals '
        'were made)',
    )
    parser.add_argument(
        '--ann',
        metavar='ANN',
        help='annotated objects of some of the images, to measure how many are found: '
        'a COCO json, the data.yaml of a YOLO data set, or Pascal VOC',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='the page to write (default: STORE.report.html beside STORE)',
    )
    parser.set_defaults(function=report)


def report(args: argparse.Namespace) -> None:
    """Run the command ``proposals report``."""
    from soco_mm import apis
    from soco_mm.utils.texts import printable

    made = apis.report_proposals(
        args.store, args.out, images=args.images, annotations=args.ann
    )
    print(made.summary.describe())
    if made.recall:
        ours, random = (made.recall[key]['all'] for key in ('proposals', 'random'))
        print(
            f'  {ours["objects"]} annotated objects: '
            f'{100 * ours["recall_50"]:.1f} % found at IoU 0.5 (random '
            f'boxes {100 * random["recall_50"]:.1f} %), '
            f'{100 * ours["recall_70"]:.1f} % at 0.7 '
            f'({100 * random["recall_70"]:.1f} %)'
        )
        for line in made.recall['account']:
            print(f'  {line}')
    for sentence in made.advice:
        print(f'  advice: {sentence}')
    if made.note:
        print(f'  {printable(made.note)}')
    print(f'Report: {printable(made.report)}')
