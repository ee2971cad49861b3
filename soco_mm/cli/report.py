"""The command ``report``."""

import argparse

from .common import examples


def add_run_report(commands) -> None:
    """Add the command ``report``."""
    parser = commands.add_parser(
        'report',
        help='write an HTML page that shows how a run went, or compares two',
        description='Write one HTML page about a run: its loss over the floor, '
        'learning rate, health and verdicts, where the time went, what training '
        'sees, which objects the model finds alike, config, provenance and what was '
        'exported. The run may have finished, been killed, or still go on. The page '
        'can be read offline and sent as one file.',
        epilog=examples(
            'soco-mm report runs/photos',
            'soco-mm report runs/photos runs/longer --out compared.html',
        ),
    )
    parser.add_argument(
        'runs',
        nargs='+',
        metavar='RUN',
        help='the folder of a run of "soco-mm pretrain", "finetune" or tools/train.py, '
        'or of two that are compared',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='the page to write (default: report.html in the first RUN)',
    )
    parser.set_defaults(function=report)


def report(args: argparse.Namespace) -> None:
    """Run the command ``report``."""
    from soco_mm import apis
    from soco_mm.utils.texts import printable

    made = apis.report_run(args.runs, args.out)
    for run, figures in made.figures.items():
        words = ', '.join(f'{name} {value}' for name, value in figures.items())
        print(printable(f'{run}: {words or "no figures yet"}'))
        for sentence in made.verdicts[run]:
            print(printable(f'  {sentence}'))
        for sentence in made.left_out[run]:
            print(printable(f'  {sentence}'))
    print(f'Report: {printable(str(made.report))}')
