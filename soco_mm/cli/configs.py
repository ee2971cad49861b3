"""The command ``configs``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from .common import examples

if TYPE_CHECKING:  # it needs PyTorch, which takes seconds to import
    from soco_mm.planning.recipes import Recipe, Setting

UNKNOWN = '-'
COLUMNS = ('backbone', 'epochs', 'base batch', 'memory', 'step')


def add_configs(commands) -> None:
    """Add the command ``configs``."""
    parser = commands.add_parser(
        'configs',
        help='list the recipes, or show the values of one',
        description='List the recipes: what each is for, its backbone, length, '
        'the batch size that its learning rate is for, memory and step time. With '
        'CONFIG, print the values that a training reads of it, each with the file that '
        'sets it.',
        epilog=examples(
            'soco-mm configs',
            'soco-mm configs soco_r50_fpn_100e',
            'soco-mm configs soco_r50_fpn_100e optim_wrapper.optimizer',
        ),
    )
    parser.add_argument(
        'config',
        nargs='?',
        metavar='CONFIG',
        help='the name of a recipe, or a config file (default: list the recipes)',
    )
    parser.add_argument(
        'key',
        nargs='?',
        metavar='KEY',
        help='print only the values under this key (default: all)',
    )
    parser.set_defaults(function=configs)


def configs(args: argparse.Namespace) -> None:
    """Run the command ``configs``."""
    from soco_mm.planning.recipes import list_recipes, read_measured, trace_config

    terminal = sys.stdout.isatty()
    if args.config is None:
        recipes, note = list_recipes(), describe_measured(read_measured())
        if terminal:
            show_recipes(recipes, note)
        else:
            print('\n'.join(recipe_lines(recipes)))
            print(note, file=sys.stderr)
        return
    settings = trace_config(args.config, args.key)
    if terminal:
        show_settings(settings)
    else:
        print('\n'.join(setting_lines(settings)))


def cells(recipe: Recipe) -> list[str]:
    """The figures of a recipe, in the order of ``COLUMNS``."""
    memory, time = recipe.memory_gib, recipe.step_time
    return [
        recipe.backbone,
        f'{recipe.steps} steps' if recipe.steps else str(recipe.epochs),
        str(recipe.batch_size),
        UNKNOWN if memory is None else f'{memory:.1f} GiB',
        UNKNOWN if time is None else f'{time:.1f}x',
    ]


def describe_measured(measured: dict) -> str:
    """What the figures of memory and step time mean."""
    if not measured:
        return f'{UNKNOWN}: not measured'
    return (
        f'Memory and step time: {measured["batch_size"]} images, '
        f'{measured["machine"]}; the step time is compared with '
        f'{measured["compared_with"]} ({measured["seconds"]} s). '
        f'{UNKNOWN}: not measured.'
    )


def recipe_lines(recipes: list[Recipe]) -> list[str]:
    """The table of recipes as aligned text, one line each."""
    rows = [['name', *COLUMNS, 'for']]
    rows += [[each.name, *cells(each), each.purpose] for each in recipes]
    widths = [max(map(len, column)) for column in zip(*rows)]
    return [
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in rows
    ]


def show_recipes(recipes: list[Recipe], note: str) -> None:
    """Print the table of recipes to a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style='dim')
    table.add_column('recipe', ratio=1)
    for name in COLUMNS:
        right = name != 'backbone'
        table.add_column(name, justify='right' if right else 'left', no_wrap=True)
    for recipe in recipes:
        name = Text(recipe.name, style='bold').append(
            f'\n{recipe.purpose}', style='not bold dim'
        )
        table.add_row(name, *cells(recipe))
    console = Console(highlight=False)
    console.print(table)
    console.print(f'\n{note}', style='dim', markup=False)
    console.print('Values of one: soco-mm configs NAME', style='dim', markup=False)


def plain_value(value: Any) -> str:
    """A value as ``--cfg-options`` reads it."""
    return value if isinstance(value, str) else repr(value)


def setting_lines(settings: list[Setting]) -> list[str]:
    """The values of a config as text, ``KEY=VALUE  # FILE``."""
    from soco_mm.planning.recipes import shown_source

    return [
        f'{each.key}={plain_value(each.value)}  # {shown_source(each.source)}'
        for each in settings
    ]


def show_settings(settings: list[Setting]) -> None:
    """Print the values of a config to a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from soco_mm.planning.recipes import shown_source

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for style in ('', 'bold', 'dim'):
        table.add_column(style=style, overflow='fold')
    for each in settings:
        table.add_row(
            Text(each.key), Text(plain_value(each.value)), shown_source(each.source)
        )
    Console(highlight=False).print(table)
