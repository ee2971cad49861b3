"""The picture of the study: paired differences from ImageNet's weights."""

from collections.abc import Sequence
from pathlib import Path

from .plan import EXPERIMENTS
from .pretrainings import IMAGENET
from .starts import DETECTORS, FASTER_RCNN, STARTS
from .statistics import LEVEL, holm
from .tables import Cells, columns, compare, gather, heads

# Not 'rpn', which was run again because of what it gave: that is the estimate.
SHOWN = ('anchors', 'main', 'backbone', 'rpn-again', 'paper', 'image-level')


def draw_differences(
    cells: Cells, path: Path, names: Sequence[str] = SHOWN, metric: str = 'bbox_mAP'
) -> None:
    """Draw a row for each start and data set: dots are seeds, a bar the interval.

    Colour is for a p below 0.05 after Holm's correction for all rows.

    Args:
        cells (Mapping): Records by cell.
        path (Path): The PNG to write.
        names (Sequence[str]): The experiments to draw.
        metric (str): One of MMDetection's COCO metrics. Defaults to ``bbox_mAP``.

    Raises:
        ValueError: If no experiment has four seeds of a start and of ImageNet.
    """
    import matplotlib

    matplotlib.use('Agg')
    import matplotlib.pyplot as plt

    groups: dict[str, list] = {}  # a data set has one, whatever the experiment
    for name in names:
        for title, rows in rows_of(name, cells, metric):
            if rows:
                groups.setdefault(title, []).extend(rows)
    if not groups:
        raise ValueError('There are no pairs to draw.')
    corrected = iter(holm([row[2].p for rows in groups.values() for row in rows]))
    number = sum(len(rows) for rows in groups.values()) + len(groups)
    figure, axis = plt.subplots(figsize=(8, 0.9 + 0.32 * number), layout='constrained')
    place, ticks = 0.0, []
    for title, rows in groups.items():
        axis.text(0, place, title, transform=axis.get_yaxis_transform(), weight='bold')
        place += 1
        for name, seeds, found in rows:
            clear = next(corrected) < LEVEL
            color = 'tab:green' if clear and found.mean > 0 else 'tab:red'
            color = color if clear else '0.35'
            axis.plot(seeds, [place + 0.25] * len(seeds), 'o', ms=3, color='0.7')
            axis.plot([found.low, found.high], [place, place], color=color, lw=2)
            axis.plot([found.mean], [place], 'o', ms=6, color=color)
            ticks.append((place, name))
            place += 1
    axis.axvline(0, color='black', lw=0.8)
    axis.set_yticks([each for each, _ in ticks], [name for _, name in ticks])
    axis.set_ylim(place, -0.7)
    axis.set_xlabel('AP minus that of ImageNet weights, same seed (95 % interval)')
    low, high = axis.get_xlim()
    axis.set_xlim(min(low, -2), max(high, 2))
    axis.grid(axis='x', alpha=0.3)
    axis.spines[['top', 'right', 'left']].set_visible(False)
    axis.tick_params(axis='y', length=0)
    partial = path.with_name(f'partial_{path.name}')
    figure.savefig(partial, dpi=110)
    plt.close(figure)
    partial.replace(path)


def rows_of(name: str, cells: Cells, metric: str) -> list[tuple[str, list]]:
    """The rows of an experiment, by column: name, differences, their summary."""
    experiment = EXPERIMENTS[name]
    found = gather(experiment, cells, metric)
    groups = []
    for key, head in zip(columns(experiment), heads(experiment)):
        rows, control = [], found.get((IMAGENET, key), {})
        for start in experiment.starts:
            values = found.get((start, key), {})
            summary = None if start == IMAGENET else compare(values, control)
            if summary:
                seeds = [values[s] - control[s] for s in values if s in control]
                rows.append((STARTS[start].title, seeds, summary))
        setting = f'{100 * key[1]:g} % of the labels, {key[2]} iterations'
        if experiment.detector != FASTER_RCNN:
            setting = DETECTORS[experiment.detector]
        groups.append((f'{head}, {setting}', rows))
    return groups
