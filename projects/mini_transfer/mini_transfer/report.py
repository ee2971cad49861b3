"""Table and plot of a transfer study."""

from pathlib import Path

import numpy as np

from soco_mm.utils import atomic_write

NAMES = {
    'scratch': 'random weights',
    'byol': 'BYOL (image level)',
    'soco': 'SoCo',
    'soco_whole-image': '- selective search',
    'soco_no-head': '- R-CNN head',
    'soco_no-scale-aware-assignment': '- scale-aware assignment',
    'soco_no-box-jitter': '- box jitter',
    'soco_two-views': '- third view',
}
CLASS_AP = '_precision'  # how MMDetection's AP of a class ends
STEP = 0.05  # between the dots of two methods, of the distance of two shares
MANY_CLASSES = 10  # of which no table each is written


def report_study(
    cells: dict[str, dict], out: str | Path, metric: str = 'bbox_mAP'
) -> list[Path]:
    """Write ``table.md`` and ``plot.png`` of a study.

    Where there are few classes, each has a table too: what pretraining does to
    rare ones can hide what it does to all others.

    Args:
        cells (dict): What :func:`mini_transfer` returns.
        out (str | Path): The folder to write to.
        metric (str): Which of MMDetection's COCO metrics. Defaults to
            ``bbox_mAP``.

    Returns:
        list[Path]: The files, none without cells.
    """
    if not cells:
        return []
    out = Path(out)
    grouped = group_cells(cells, metric)
    table, plot = out / 'table.md', out / 'plot.png'
    atomic_write(table, describe_study(grouped) + describe_classes(cells))
    draw_study(grouped, plot)
    return [table, plot]


def group_cells(
    cells: dict[str, dict], metric: str
) -> dict[tuple[str, str, float], np.ndarray]:
    """Gather the seeds of each data set, method and share of the labels.

    Returns:
        dict: Metrics in percent, (S,), by (data, method, fraction).
    """
    grouped: dict[tuple, list] = {}
    for cell in cells.values():
        key = cell['data'], cell['method'], cell['fraction']
        grouped.setdefault(key, []).append(100 * cell['metrics'][metric])
    return {key: np.array(values) for key, values in grouped.items()}


def describe_classes(cells: dict[str, dict]) -> str:
    """The tables of single classes, of data sets with few."""
    text = ''
    for data in dict.fromkeys(each['data'] for each in cells.values()):
        own = {name: each for name, each in cells.items() if each['data'] == data}
        names = [
            key.removesuffix(CLASS_AP)
            for key in dict.fromkeys(
                key for each in own.values() for key in each['metrics']
            )
            if key.endswith(CLASS_AP)
        ]
        if len(names) > MANY_CLASSES:
            continue
        for name in names:
            # A detector that finds nothing at all is not evaluated by class.
            found = {
                key: dict(
                    each, metrics={name: each['metrics'].get(name + CLASS_AP, 0.0)}
                )
                for key, each in own.items()
            }
            text += '\n' + describe_study(group_cells(found, name), f'AP of {name}')
    return text


def describe_study(grouped: dict, what: str = 'AP') -> str:
    """A Markdown table a data set: mean and standard deviation over seeds."""
    lines = []
    for data in dict.fromkeys(key[0] for key in grouped):
        fractions = sorted({key[2] for key in grouped if key[0] == data})
        seeds = max(len(values) for key, values in grouped.items() if key[0] == data)
        lines += [
            f'{data}, {what} (mean ± standard deviation over {seeds} seeds, '
            'or as many as in brackets)',
            '',
            '| labels | '
            + ' | '.join(f'{fraction * 100:g} %' for fraction in fractions)
            + ' |',
            '|---' * (len(fractions) + 1) + '|',
        ]
        for method in NAMES:
            values = [grouped.get((data, method, each)) for each in fractions]
            if all(each is None for each in values):
                continue
            texts = ['' if each is None else spread(each, seeds) for each in values]
            lines.append(f'| {NAMES[method]} | ' + ' | '.join(texts) + ' |')
        lines.append('')
    return '\n'.join(lines)


def spread(values: np.ndarray, usual: int) -> str:
    """Mean and standard deviation of a sample, and its size if unusual."""
    number = '' if len(values) == usual else f' ({len(values)})'
    if len(values) < 2:
        return f'{values.mean():.1f}{number}'
    return f'{values.mean():.1f} ± {values.std(ddof=1):.1f}{number}'


def draw_study(grouped: dict, path: Path) -> None:
    """Draw AP against the share of the labels; a dot is one seed."""
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(key[0] for key in grouped))
    figure, axes = plt.subplots(
        1,
        len(names),
        figsize=(6.5 * len(names), 4.8),
        layout='constrained',
        squeeze=False,
    )
    for axis, data in zip(axes[0], names):
        fractions = sorted({key[2] for key in grouped if key[0] == data})
        present = {
            fraction: [
                method for method in NAMES if (data, method, fraction) in grouped
            ]
            for fraction in fractions
        }
        for method in NAMES:
            if not any(method in each for each in present.values()):
                continue
            # Beside each other, or seeds would hide those of others.
            places = [
                place + STEP * (there.index(method) - (len(there) - 1) / 2)
                if method in there
                else place
                for place, there in enumerate(present.values())
            ]
            means = [
                grouped.get((data, method, fraction), np.array(np.nan)).mean()
                for fraction in fractions
            ]
            part = method.startswith('soco_')
            (line,) = axis.plot(
                places,
                means,
                label=NAMES[method],
                marker='_',
                markersize=9,
                linewidth=1 if part else 1.6,
                linestyle='--' if part else '-',
            )
            color = line.get_color()
            for place, fraction in zip(places, fractions):
                values = grouped.get((data, method, fraction), ())
                axis.plot([place] * len(values), values, 'o', markersize=3, color=color)
        axis.set_xlim(-0.5, len(fractions) - 0.5)
        axis.set_xticks(
            range(len(fractions)), [f'{fraction * 100:g} %' for fraction in fractions]
        )
        axis.set_title(data, loc='left')
        axis.set_xlabel('labelled images')
        axis.set_ylabel('AP')
        axis.set_ylim(bottom=max(0, axis.get_ylim()[0]))
        axis.grid(alpha=0.3)
        axis.spines[['top', 'right']].set_visible(False)
    lines = {
        label: line
        for axis in axes[0]
        for line, label in zip(*axis.get_legend_handles_labels())
    }
    figure.legend(
        lines.values(),
        lines.keys(),
        loc='outside lower center',
        ncols=2 * len(names),
        frameon=False,
    )
    partial = path.with_name(f'partial_{path.name}')
    figure.savefig(partial, dpi=110)
    plt.close(figure)
    partial.replace(path)
