"""Tables of a study, from its cells."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .cells import CLASS_AP, METRICS, Cell
from .plan import EXPERIMENTS, Ablation, Experiment
from .pretrainings import IMAGENET, Pretraining
from .starts import STARTS
from .statistics import Difference, paired_difference

NAMES = dict(zip(METRICS, ('AP', 'AP50', 'AP75')))
FEW_CLASSES = 5  # of which each has a column
# Percent by seed, of one start in one column.
Seeds = dict[int, float]
Cells = Mapping[Cell, Mapping[str, Any]]
Pretrainings = Mapping[Pretraining, Mapping[str, Any]]
ROWS = {  # of an ablation
    'ablation_whole-image': 'the whole image is the object',
    'ablation_boxes': 'boxes of selective search',
    'ablation_neck': '+ FPN',
    'short': '+ R-CNN head',
}


def columns(experiment: Experiment) -> list[tuple]:
    """Data set, share of the labels, iterations and rate of each column."""
    found = [
        (
            cell.data,
            cell.fraction,
            cell.iterations,
            cell.rate if experiment.rates else None,
        )
        for cell in experiment.cells()
    ]
    return list(dict.fromkeys(found))


def heads(experiment: Experiment) -> list[str]:
    """What tells the columns apart."""
    keys = columns(experiment)
    texts = [
        (data, f'{100 * fraction:g} %', f'{iterations}', f'{rate:g}' if rate else '')
        for data, fraction, iterations, rate in keys
    ]
    several = [
        len(experiment.data) > 1,
        len(experiment.fractions) > 1,
        len(experiment.lengths) > 1,
        len(experiment.rates) > 1,
    ]
    named = [
        ', '.join(text for text, shown in zip(each, several) if shown) for each in texts
    ]
    return [name or texts[0][0] for name in named]


def gather(
    experiment: Experiment, cells: Cells, metric: str
) -> dict[tuple[str, tuple], Seeds]:
    """The cells of an experiment that there are, by start and column.

    Args:
        experiment (Experiment): The experiment.
        cells (Mapping): Records by cell.
        metric (str): One of MMDetection's COCO metrics.

    Returns:
        dict: Percent by seed, by start and column.
    """
    found: dict[tuple[str, tuple], Seeds] = {}
    for cell in experiment.cells():
        if cell not in cells:
            continue
        rate = cell.rate if experiment.rates else None
        column = cell.data, cell.fraction, cell.iterations, rate
        value = 100 * cells[cell]['metrics'].get(metric, 0.0)
        found.setdefault((cell.start, column), {})[cell.seed] = value
    return found


def compare(values: Seeds, control: Seeds) -> Difference | None:
    """The difference on the seeds that both have; None for fewer than two."""
    seeds = sorted(values.keys() & control.keys())
    if len(seeds) < 2:
        return None
    return paired_difference([values[s] for s in seeds], [control[s] for s in seeds])


def describe_study(cells: Cells, pretrainings: Pretrainings) -> str:
    """All tables as Markdown, an experiment each that has cells."""
    parts = []
    for name, experiment in EXPERIMENTS.items():
        if isinstance(experiment, Ablation):
            parts += describe_ablation(experiment, pretrainings)
            continue
        # Experiments share the cells of their control.
        alone = len(experiment.starts) == 1
        if any(
            cell in cells and (alone or cell.start != IMAGENET)
            for cell in experiment.cells()
        ):
            parts.append(describe_experiment(name, cells))
    return '\n\n'.join(parts)


def describe_experiment(name: str, cells: Cells) -> str:
    """The tables of an experiment: means, differences, single classes."""
    experiment = EXPERIMENTS[name]
    lines = [f'### {experiment.title}', '', describe_setting(experiment), '']
    lines += table('AP, mean ± standard deviation (seeds)', experiment, cells, means)
    if IMAGENET in experiment.starts and len(experiment.starts) > 1:
        for metric, title in NAMES.items():
            lines += table(
                f'{title} minus that of ImageNet: mean [95 % interval], p, '
                'smallest visible (pairs)',
                experiment,
                cells,
                differences,
                metric,
            )
        lines += class_tables(experiment, cells)
    return '\n'.join(lines).rstrip()


def describe_setting(experiment: Experiment) -> str:
    """What all cells of an experiment have in common."""
    parts = [experiment.detector.replace('-', ' ').replace('rcnn', 'R-CNN')]
    if experiment.frozen:
        parts.append('its backbone frozen')
    if len(experiment.fractions) == 1:
        parts.append(f'{100 * experiment.fractions[0]:g} % of the labels')
    text = ', '.join(parts)
    return text[0].upper() + text[1:] + '.'


def table(
    title: str, experiment: Experiment, cells: Cells, rows, metric: str = METRICS[0]
) -> list[str]:
    """A Markdown table: a row a start."""
    keys = columns(experiment)
    found = gather(experiment, cells, metric)
    used = [i for i, key in enumerate(keys) if any(k == key for _, k in found)]
    names = heads(experiment)
    body = list(rows(experiment, found, [keys[i] for i in used]))
    if not body:
        return []
    return [
        f'| {title} | ' + ' | '.join(names[i] for i in used) + ' |',
        '|---' * (len(used) + 1) + '|',
        *(f'| {start} | ' + ' | '.join(texts) + ' |' for start, texts in body),
        '',
    ]


def means(
    experiment: Experiment, found: dict, keys: list
) -> Iterator[tuple[str, list[str]]]:
    """Rows of means."""
    for start in experiment.starts:
        values = [found.get((start, key)) for key in keys]
        if any(values):
            yield STARTS[start].title, [spread(each) for each in values]


def differences(
    experiment: Experiment, found: dict, keys: list
) -> Iterator[tuple[str, list[str]]]:
    """Rows of paired differences from ImageNet."""
    for start in experiment.starts:
        if start == IMAGENET:
            continue
        texts = []
        for key in keys:
            pair = [found.get((each, key), {}) for each in (start, IMAGENET)]
            texts.append(describe_difference(compare(*pair)))
        if any(texts):
            yield STARTS[start].title, texts


def spread(values: Seeds | None) -> str:
    """Mean, standard deviation and number of seeds."""
    if not values:
        return ''
    each = np.array(list(values.values()))
    if len(each) < 2:
        return f'{each.mean():.1f} (1)'
    return f'{each.mean():.1f} ± {each.std(ddof=1):.1f} ({len(each)})'


def describe_difference(found: Difference | None) -> str:
    """A difference as a cell of a table.

    Example:
        >>> describe_difference(Difference(1.25, 0.4, 2.1, 0.012, 1.2, 8))
        '+1.2 [+0.4, +2.1], .012, 1.2 (8)'
    """
    if found is None:
        return ''
    p = '< .001' if found.p < 0.001 else f'{found.p:.3f}'.removeprefix('0')
    return (
        f'{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}], {p}, '
        f'{found.visible:.1f} ({found.pairs})'
    )


def class_tables(experiment: Experiment, cells: Cells) -> list[str]:
    """Differences of single classes, of data sets with a few."""
    lines = []
    for data in experiment.data:
        own = {cell: record for cell, record in cells.items() if cell.data == data}
        one = experiment._replace(data=(data,))
        classes = dict.fromkeys(
            key
            for cell in one.cells()
            for key in own.get(cell, {}).get('metrics', {})
            if key.endswith(CLASS_AP)
        )
        if 1 < len(classes) <= FEW_CLASSES:
            for key in classes:
                name = key.removesuffix(CLASS_AP)
                title = f'{data}, AP of {name} minus that of ImageNet'
                lines += table(title, one, own, differences, key)
    return lines


def describe_ablation(experiment: Ablation, pretrainings: Pretrainings) -> list[str]:
    """The tables of an ablation, one for each data set and init; [] without any."""
    parts = []
    for data in experiment.data:
        for init in experiment.inits:
            lines = []
            for config in experiment.configs:
                seeds = [
                    pretrainings[each]['retrieval']
                    for each in experiment.pretrainings()
                    if each in pretrainings
                    and (each.config, each.data, each.init) == (config, data, init)
                ]
                if seeds:
                    lines.append(f'| {ROWS[config]} | {describe_retrieval(seeds)} |')
            if lines:
                start = 'ImageNet' if init == IMAGENET else 'random weights'
                title = f'{data}, from {start}: mean ± standard deviation (seeds)'
                parts += [
                    f'| {title} | same class, before | after | found again, before '
                    '| after | effective rank, before | after | of at most |',
                    '|---' * 8 + '|',
                    *lines,
                    '',
                ]
    if not parts:
        return []
    return ['\n'.join([f'### {experiment.title}', '', *parts]).rstrip()]


def describe_retrieval(seeds: Sequence[Mapping[str, Any]]) -> str:
    """Cells of a table: figures before and after, in percent but for the rank."""
    texts = []
    for key, scale in (('same_class', 100), ('found', 100), ('rank', 1)):
        for moment in ('before', 'after'):
            values = [
                scale
                * (each[moment]['annotated'] if key == 'same_class' else each[moment])[
                    key
                ]
                for each in seeds
            ]
            texts.append(spread(dict(enumerate(values))))
    texts.append(str(seeds[0]['after']['largest_rank']))
    return ' | '.join(texts)
