"""Make a data set of the study from a clone of its repository."""

import os
from pathlib import Path

from soco_mm.cli import run
from soco_mm.cli.parser import Parser


def main() -> None:
    os.environ['OMP_NUM_THREADS'] = '1'  # as in run.py
    from transfer_study.prepare import SOURCES, prepare

    parser = Parser(description=__doc__)
    parser.add_argument('name', choices=SOURCES, help='the data set')
    parser.add_argument('clone', type=Path, help='the clone of its repository')
    parser.add_argument('data', type=Path, help='the folder of the data sets')
    args = parser.parse_args()
    print(f'{prepare(args.name, args.clone, args.data)} is ready.')


if __name__ == '__main__':
    run(main)
