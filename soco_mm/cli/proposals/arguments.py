"""Arguments that several commands about proposals have."""

import argparse

from soco_mm.cli.common import number


def add_root(parser) -> None:
    """Add ``--root``."""
    parser.add_argument(
        '--root',
        metavar='FOLDER',
        help='the folder that the paths in a text file or COCO json are relative to '
        '(default: the folder of that file)',
    )


def add_preset(parser) -> None:
    """Add ``--preset``."""
    parser.add_argument(
        '--preset',
        choices=['paper', 'released', 'fast'],
        default='paper',
        help='parameters of the proposals: those of the paper or of its released code, '
        'or a search in small images, 6 to 10 times as fast (default: paper)',
    )


def add_fit(parser, measured: bool = False) -> None:
    """Add ``--ann``, to which the proposals are fitted.

    Args:
        parser (Parser): What it is added to.
        measured (bool): Whether the objects are measured too. Defaults to False.
    """
    parser.add_argument(
        '--ann',
        metavar='ANN',
        help='annotated objects of a few such images, from which sizes and shapes of '
        'the boxes and the resolution of the search are derived: a COCO json, the '
        'data.yaml of a YOLO data set, or Pascal VOC'
        + '; the training also measures, before and after, how often the most similar '
        'other object has the same class (with --proposals only this is done)'
        * measured,
    )


def add_stretch(parser) -> None:
    """Add ``--stretch``."""
    parser.add_argument(
        '--stretch',
        type=number,
        nargs=2,
        metavar=('LOW', 'HIGH'),
        help='for images of more than 8 bits (thermal, X-ray, depth): the percentiles '
        'of each image that become black and white, such as 0.5 99.5 (default: the '
        'upper 8 of 16 bits are used)',
    )


class SizeRange(argparse.Action):
    """Read two numbers, or ``auto``."""

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        """Read the values."""
        if values != ['auto']:
            if len(values) != 2 or 'auto' in values:
                parser.error(
                    f'{option_string} takes two numbers or auto, but got '
                    f'{" ".join(values)}. Give IMAGES first.'
                )
            try:
                values = [number(each) for each in values]
            except argparse.ArgumentTypeError as error:
                parser.error(f'argument {option_string}: {error}')
        setattr(namespace, self.dest, 'auto' if values == ['auto'] else values)


def add_filter(parser, auto: bool = False) -> None:
    """Add the arguments of the filter.

    Args:
        parser (argparse.ArgumentParser): The parser, or a group of it.
        auto (bool): Whether ``--size-range`` can be ``auto``. Defaults to False.
    """
    parser.add_argument(
        '--max-aspect',
        type=number,
        metavar='R',
        help='keep boxes with 1/R <= w/h <= R (default: 3)',
    )
    parser.add_argument(
        '--size-range',
        **(
            dict(action=SizeRange, nargs='+', metavar='LOW HIGH')
            if auto
            else dict(type=number, nargs=2, metavar=('LOW', 'HIGH'))
        ),
        help='keep boxes with sqrt(wh) / sqrt(WH) in this range, where W and H are '
        'the sides of the image'
        + '; auto: derived, like the other settings, from the objects in --ann' * auto
        + ' (default: 0.3 0.8)',
    )
    parser.add_argument(
        '--min-side',
        type=number,
        metavar='PIXELS',
        help='keep boxes at least this wide and high (default: 0'
        + '; released: 32' * auto
        + ')',
    )
