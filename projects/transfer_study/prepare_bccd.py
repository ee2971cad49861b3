"""Make the data set of blood cells from a clone of Shenggan/BCCD_Dataset."""

import os
from pathlib import Path

from soco_mm.cli import run
from soco_mm.cli.parser import Parser


def main() -> None:
    # As in run.py.
    os.environ.setdefault('OMP_NUM_THREADS', '1')
    from transfer_study.bccd import prepare_bccd

    parser = Parser(description=__doc__)
    parser.add_argument('clone', type=Path, help='the clone, with its folder BCCD')
    parser.add_argument('data', type=Path, help='the folder to make bccd in')
    args = parser.parse_args()
    print(f'{prepare_bccd(args.clone, args.data)} is ready.')


if __name__ == '__main__':
    run(main)
