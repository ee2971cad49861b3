"""Write seeded subsets of COCO annotations, such as Mini COCO."""

from pathlib import Path

from soco_mm.cli import run
from soco_mm.cli.parser import Parser


def main() -> None:
    from soco_mm.coco import write_subset

    parser = Parser(description=__doc__)
    parser.add_argument('annotations', type=Path, help='a COCO json')
    parser.add_argument(
        '--percent',
        nargs='+',
        type=float,
        default=[5.0, 10.0, 50.0],
        help='shares of the images; a smaller one is part of a larger one '
        '(default: 5 10 50)',
    )
    parser.add_argument('--seed', type=int, default=0, help='default: %(default)s')
    parser.add_argument(
        '--out',
        type=Path,
        help='the folder to write to (default: that of the annotations)',
    )
    args = parser.parse_args()
    for percent in args.percent:
        path, images, objects = write_subset(
            args.annotations, percent, args.seed, args.out or args.annotations.parent
        )
        print(f'{path}: {images} images, {objects} objects')


if __name__ == '__main__':
    run(main)
