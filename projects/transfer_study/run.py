"""Is SoCo better than the ImageNet weights people have? A study on one machine.

Pretrains on the images of small data sets from ImageNet's weights, trains
detectors from each start on a share of the labels, and compares them seed by
seed. OUT gets the records, their tables and a picture; what is recorded there is
not run again, so that the study can be stopped and continued.
"""

import os
from pathlib import Path

from soco_mm.cli import run
from soco_mm.cli.parser import Parser


def main() -> None:
    # Before PyTorch is imported, here and in the processes of the study: a thread
    # each, on the CPU, so that results depend on neither cores nor GPUs.
    os.environ['OMP_NUM_THREADS'] = '1'
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    from transfer_study.data import DATA_SETS
    from transfer_study.plan import EXPERIMENTS
    from transfer_study.report import read_page, report_study, write_tables
    from transfer_study.study import run_study

    parser = Parser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'data',
        type=Path,
        help='the folder with bccd and, for other experiments than quick, raccoon, '
        'aerial and coco128 (README.md)',
    )
    parser.add_argument(
        '--out',
        type=Path,
        required=True,
        help='the folder for records, tables and work; a study in it is continued',
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument(
        '--quick',
        action='store_true',
        help='two pretrainings and four detectors of 200 iterations on bccd: about 20 '
        'minutes of one core',
    )
    chosen.add_argument(
        '--experiments',
        nargs='+',
        choices=list(EXPERIMENTS),
        metavar='NAME',
        help=f'one or several of {", ".join(EXPERIMENTS)}; in this order',
    )
    parser.add_argument(
        '--data-sets',
        nargs='+',
        choices=list(DATA_SETS),
        default=list(DATA_SETS),
        help='only cells of these (default: all)',
    )
    parser.add_argument(
        '--imagenet',
        type=Path,
        help="the file of ImageNet's weights (default: downloaded)",
    )
    parser.add_argument(
        '--jobs',
        type=int,
        default=len(os.sched_getaffinity(0)),
        help='number of processes (default: one a core)',
    )
    parser.add_argument(
        '--page', type=Path, help='also write the tables into this Markdown page'
    )
    args = parser.parse_args()
    if args.page:  # refused now, not at the end
        write_tables(read_page(args.page), '')
    try:
        run_study(
            args.data,
            args.out,
            ('quick',) if args.quick else args.experiments,
            args.jobs,
            args.imagenet,
            args.data_sets,
        )
    finally:
        for path in report_study(args.out, args.page):
            print(path)


if __name__ == '__main__':
    run(main)
