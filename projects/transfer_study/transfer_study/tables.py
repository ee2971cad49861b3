"""Tables of a study, from its cells."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .cells import CLASS_AP, METRICS, Cell
from .plan import EXPERIMENTS, Ablation, Experiment
from .pretrainings import IMAGENET, Pretraining
from .starts import DETECTORS, STARTS
from .statistics import Difference, paired_difference

NAMES = dict(zip(METRICS, ('AP', 'AP50', 'AP75')))
FEW_CLASSES = 5  # of which each has a column
# Of fewer the t test sees no difference that a start could make.
FEWEST_PAIRS = 4
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


def column_of(experiment: Experiment, cell: Cell) -> tuple:
    """Data set, share of the labels and iterations; the rate where rates differ."""
    rate = cell.rate if experiment.rates else None
    return cell.data, cell.fraction, cell.iterations, rate


def columns(experiment: Experiment) -> list[tuple]:
    """The columns of an experiment's tables, in order."""
    cells = experiment.cells()
    return list(dict.fromkeys(column_of(experiment, cell) for cell in cells))


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
        metrics = cells[cell]['metrics']
        if (
            metric.endswith(CLASS_AP)
            and metric not in metrics
            and metrics.get(METRICS[0])
        ):
            continue  # of another data set
        value = 100 * metrics.get(metric, 0.0)
        found.setdefault((cell.start, column_of(experiment, cell)), {})[cell.seed] = (
            value
        )
    return found


def compare(values: Seeds, control: Seeds) -> Difference | None:
    """The difference on the seeds that both have; None for fewer than four."""
    seeds = sorted(values.keys() & control.keys())
    if len(seeds) < FEWEST_PAIRS:
        return None
    return paired_difference([values[s] for s in seeds], [control[s] for s in seeds])


def describe_study(cells: Cells, pretrainings: Pretrainings) -> str:
    """All tables as Markdown, an experiment each that has figures of its own."""
    parts = []
    for name, experiment in EXPERIMENTS.items():
        if isinstance(experiment, Ablation):
            parts += describe_ablation(experiment, pretrainings)
        elif has_own(experiment, cells):
            parts.append(describe_experiment(name, cells))
    return '\n\n'.join(parts)


def has_own(experiment: Experiment, cells: Cells) -> bool:
    """Whether there is more than what it shares with others.

    Experiments share the cells of their control, and one length of a curve.
    """
    control = IMAGENET if len(experiment.starts) > 1 else None
    there = [cell for cell in experiment.cells() if cell in cells]
    if not any(cell.start != control for cell in there):
        return False
    if len(experiment.lengths) < 2:
        return True
    lengths = {(cell.data, cell.iterations) for cell in there}
    return len(lengths) > len({data for data, _ in lengths})


def describe_experiment(name: str, cells: Cells) -> str:
    """The tables of an experiment: means, and paired differences from ImageNet."""
    experiment = EXPERIMENTS[name]
    keys = columns(experiment)
    found = gather(experiment, cells, METRICS[0])
    used = [key for key in keys if any(column == key for _, column in found)]
    names = [head for key, head in zip(keys, heads(experiment)) if key in used]
    lines = [f'### {experiment.title}', '', describe_setting(experiment), '']
    lines += table('AP: mean ± standard deviation (seeds)', names, means(found, used))
    if IMAGENET in experiment.starts and len(experiment.starts) > 1:
        shown = NAMES | class_names(experiment, cells)
        rows = [
            row
            for metric, title in shown.items()
            for row in differences(gather(experiment, cells, metric), used, title)
        ]
        lines += table(
            'Minus ImageNet: mean [95 % interval], p, smallest detectable (pairs)',
            names,
            rows,
        )
    return '\n'.join(lines).rstrip()


def describe_setting(experiment: Experiment) -> str:
    """What all cells of an experiment have in common."""
    parts = [DETECTORS[experiment.detector]]
    if experiment.frozen:
        parts.append('its backbone frozen')
    if len(experiment.data) == 1:
        parts.append(f'data set {experiment.data[0]}')
    if len(experiment.fractions) == 1:
        parts.append(f'{100 * experiment.fractions[0]:g} % of the labels')
    return ', '.join(parts) + '.'


def table(title: str, names: Sequence[str], rows: Iterable[tuple]) -> list[str]:
    """A Markdown table; empty without rows."""
    body = [f'| {first} | ' + ' | '.join(texts) + ' |' for first, texts in rows]
    if not body:
        return []
    head = f'| {title} | ' + ' | '.join(names) + ' |'
    return [head, '|---' * (len(names) + 1) + '|', *body, '']


def means(found: dict, keys: Sequence[tuple]) -> Iterator[tuple[str, list[str]]]:
    """A row of means for each start."""
    for start in dict.fromkeys(start for start, _ in found):
        yield STARTS[start].title, [spread(found.get((start, key))) for key in keys]


def differences(
    found: dict, keys: Sequence[tuple], metric: str
) -> Iterator[tuple[str, list[str]]]:
    """A row of paired differences from ImageNet for each other start."""
    for start in dict.fromkeys(start for start, _ in found if start != IMAGENET):
        texts = []
        for key in keys:
            values, control = (found.get((s, key), {}) for s in (start, IMAGENET))
            texts.append(describe_difference(compare(values, control)))
            if texts[-1] and not any((*values.values(), *control.values())):
                texts[-1] = '0 in all'  # which has no spread that could be compared
        if any(texts):
            yield f'{STARTS[start].title}: {metric}', texts


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


def class_names(experiment: Experiment, cells: Cells) -> dict[str, str]:
    """Metrics of single classes and their titles, of data sets with a few."""
    classes: dict[str, dict[str, str]] = {}
    for cell in experiment.cells():
        for key in cells.get(cell, {}).get('metrics', {}):
            if key.endswith(CLASS_AP):
                title = f'AP of {key.removesuffix(CLASS_AP)}'
                classes.setdefault(cell.data, {})[key] = title
    few = [each for each in classes.values() if 1 < len(each) <= FEW_CLASSES]
    return {key: title for each in few for key, title in each.items()}


def describe_ablation(experiment: Ablation, pretrainings: Pretrainings) -> list[str]:
    """The tables of an ablation, one for each data set and init; [] without any."""
    parts: list[str] = []
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
            if len(lines) > 1:
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
