"""What pretraining is worth with few labels: a study on one machine.

Pretrains SoCo, SoCo with parts taken away, and MMSelfSup's BYOL on a few
hundred unlabelled images; trains detectors from each and from random weights
on shares of the labels; and writes cells, a table and a plot with the spread
over seeds to OUT. What is done already in OUT is not done again.
"""

import os
from pathlib import Path

from soco_mm.cli import run
from soco_mm.cli.parser import Parser


def main() -> None:
    # Before PyTorch is imported, here and in the processes of the study.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    from mini_transfer.cells import DATA_SETS
    from mini_transfer.study import METHODS, mini_transfer

    parser = Parser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'data', type=Path, help='the folder of bccd, coco128 and photos'
    )
    parser.add_argument('--out', type=Path, required=True, help='a folder')
    parser.add_argument(
        '--data-sets', nargs='+', choices=list(DATA_SETS), default=list(DATA_SETS)
    )
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=METHODS)
    parser.add_argument(
        '--fractions',
        nargs='+',
        type=float,
        default=[0.05, 0.1, 0.5, 1.0],
        help='shares of the labelled images (default: %(default)s)',
    )
    parser.add_argument('--seeds', type=int, default=3, help='default: %(default)s')
    parser.add_argument(
        '--epochs',
        type=int,
        help='length of the pretrainings (default: as in their configs)',
    )
    parser.add_argument(
        '--iterations',
        type=int,
        default=400,
        help="length of the detectors' training (default: %(default)s)",
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        default=4,
        help='its images per step (default: %(default)s)',
    )
    parser.add_argument(
        '--scale',
        nargs=2,
        type=int,
        default=(256, 192),
        metavar=('LONG', 'SHORT'),
        help='its largest long and short side (default: 256 192)',
    )
    parser.add_argument(
        '--jobs',
        type=int,
        default=len(os.sched_getaffinity(0)),
        help='number of processes (default: one a core)',
    )
    args = parser.parse_args()
    for path in mini_transfer(
        args.data,
        args.out,
        data_sets=args.data_sets,
        methods=args.methods,
        fractions=args.fractions,
        seeds=args.seeds,
        epochs=args.epochs,
        iterations=args.iterations,
        batch_size=args.batch_size,
        scale=args.scale,
        jobs=args.jobs,
    ):
        print(path)


if __name__ == '__main__':
    run(main)
