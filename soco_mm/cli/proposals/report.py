"""The command ``proposals report``."""

import argparse


def add_report(commands) -> None:
    """Add the command ``proposals report``."""
    parser = commands.add_parser(
        'report',
        help='write a page by which to judge proposals',
        description='Write one HTML page with the figures, distributions and '
        'pictures of a store of proposals, and with advice on parameters that '
        'do not fit the images. It can be read offline and sent as it is.',
    )
    parser.add_argument('store', metavar='STORE', help='the proposals')
    parser.add_argument(
        '--images',
        metavar='FOLDER',
        help='where the images are (default: '
        'where they were when the proposals were made)',
    )
    parser.add_argument(
        '--ann',
        metavar='ANN',
        help='objects on some of the images (a COCO '
        'json, the data.yaml of a YOLO data set, or Pascal VOC), to measure '
        'how many are found',
    )
    parser.add_argument(
        '--out',
        metavar='HTML',
        help='the page (default: STORE.report.html beside the store)',
    )
    parser.set_defaults(function=report)


def report(args: argparse.Namespace) -> None:
    """Run the command ``proposals report``."""
    from soco_mm.apis.proposal_report import report_proposals
    from soco_mm.proposals.summary import describe_proposals
    from soco_mm.utils.files import printable

    made = report_proposals(args.store, args.out, args.images, args.ann)
    print(describe_proposals(made['summary']))
    if made['recall']:
        ours, random = (made['recall'][key]['all'] for key in ('proposals', 'random'))
        print(
            f'  {ours["objects"]} annotated objects: '
            f'{100 * ours["recall_50"]:.1f} % found at IoU 0.5 (random '
            f'boxes {100 * random["recall_50"]:.1f} %), '
            f'{100 * ours["recall_70"]:.1f} % at 0.7 '
            f'({100 * random["recall_70"]:.1f} %)'
        )
        for line in made['recall']['account']:
            print(f'  {line}')
    for sentence in made['advice']:
        print(f'  advice: {sentence}')
    if made['note']:
        print(f'  {printable(made["note"])}')
    print(f'Report: {printable(made["report"])}')
