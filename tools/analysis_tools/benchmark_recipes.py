"""Measure memory and step time of recipes, for the table of "soco-mm configs".

Writes configs/soco/measured.json. Step times are CPU seconds of one thread,
which other programs on the machine hardly change, and are compared with those of
soco_r50_fpn_100e, which is measured first and last. Recipes that are not named
keep their figures.
"""

import argparse
import json
import os
import sys

from benchmark_step import make_batch, measure_apart

from soco_mm.cli import run
from soco_mm.engine.config import RECIPES, find_config, load_config, recipe_names
from soco_mm.planning.recipes import MEASURED, read_measured
from soco_mm.utils import atomic_write

COMPARED_WITH = 'soco_r50_fpn_100e'
CONDITIONS = dict(
    machine='float32, channels last, one CPU thread', batch_size=8, steps=2
)


def measure_step(name: str) -> dict:
    """The figures of :func:`benchmark_step.measure` for a recipe."""
    row = measure_apart(
        str(find_config(name)),
        'channels_last',
        CONDITIONS['batch_size'],
        CONDITIONS['steps'],
        False,
    )
    print(name, row['cpu_seconds_per_step'], row['peak_memory_mib'], file=sys.stderr)
    return row


def costs(name: str) -> str:
    """What the time and memory of a step depend on, for recipes that share it."""
    cfg = load_config(name)
    views, boxes, _ = make_batch(cfg, 1, 'cpu')
    shapes = [tuple(each.shape) for each in (*views, *boxes)]
    return repr((cfg.model.to_dict(), shapes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help='recipes (default: all outside released/ and ablations/)',
    )
    names = parser.parse_args().names
    others = ('ablations/', 'released/')
    names = names or [name for name in recipe_names() if not name.startswith(others)]
    os.environ.update(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1', MKL_NUM_THREADS='1')
    compared = [measure_step(COMPARED_WITH)]
    measured = {costs(COMPARED_WITH): compared[0]}
    for name in names:
        if costs(name) not in measured:
            measured[costs(name)] = measure_step(name)
    compared.append(measure_step(COMPARED_WITH))
    unit = sum(row['cpu_seconds_per_step'] for row in compared) / len(compared)
    compared[0]['cpu_seconds_per_step'] = unit
    before = read_measured()
    same = all(before.get(key) == value for key, value in CONDITIONS.items())
    recipes = before['recipes'] if same else {}
    for name in names:
        row = measured[costs(name)]
        recipes[name] = dict(
            memory_gib=round(row['peak_memory_mib'] / 1024, 1),
            step_time=round(row['cpu_seconds_per_step'] / unit, 2),
        )
    found = dict(
        CONDITIONS,
        compared_with=COMPARED_WITH,
        seconds=round(unit, 1),
        recipes=dict(sorted(recipes.items())),
    )
    atomic_write(MEASURED, json.dumps(found, indent=2) + '\n')
    print(f'{MEASURED.relative_to(RECIPES.parents[1])}: {len(names)} recipes')


if __name__ == '__main__':
    run(main)
