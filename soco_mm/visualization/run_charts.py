"""The charts of a run, or of two over each other."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from .line_chart import Line, draw_lines

# Key of a scalar -> heading, and what is said below.
TRAINING = {
    'over': (
        'Loss above its floor',
        'At zero a constant output does as well; below, objects are told apart.',
    ),
    'loss': ('Loss and floor', 'The floor is the loss of the best constant output.'),
    'lr': ('Learning rate', ''),
    'time': ('Seconds a step', 'With waiting for data.'),
    'waiting': ('Waiting for data', 'Share of the time of a step, in percent.'),
    'memory': ('GPU memory', 'In MiB, the most since the last point.'),
}
MOMENTUM = 'Momentum of the target network'
# Amounts, whose changes are judged by their size.
AMOUNTS = frozenset(['over', 'time', 'waiting', 'memory'])
# Heading and caption of a chart of the health, and its figures with the names of
# their curves; a figure with parts has a curve for each.
HEALTH: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        'Effective rank',
        'How many dimensions the features of objects fill, and those of the last '
        'map. A fall to a few is a collapse.',
        dict(
            effective_rank_head='head',
            effective_rank_projections='projections',
            effective_rank_backbone='backbone',
        ),
    ),
    (
        'Cosine of projections',
        'Of an object in two views, and of objects on different images. Both near '
        '1: a collapse.',
        dict(cosine_positive='same object', cosine_random='others'),
    ),
    (
        'Spread of projections',
        '1 is even in all directions, 0 is a single point.',
        dict(spread_projections=''),
    ),
    (
        'Movement of weights',
        'Since the start, relative to their norm there.',
        dict(movement_weights=''),
    ),
    (
        'Movement of biases and norms',
        'Since the start, relative to their norm there.',
        dict(movement_biases=''),
    ),
    (
        'Masked proposals',
        'Share without a box in both views of a pair.',
        dict(masked_share=''),
    ),
    ('Boxes by level', 'Share of the boxes of all views.', dict(boxes_by_level='')),
    (
        'Skipped steps',
        'Share that the gradient scaler skipped.',
        dict(skipped_share=''),
    ),
    (
        MOMENTUM,
        'It rises to 1, where the target stands still.',
        dict(target_momentum=''),
    ),
)
# Figures of the health that are drawn of the scalars already, or no curve.
ELSEWHERE = frozenset(
    ['loss', 'loss_over_floor', 'learning_rate', 'waiting_share', 'objects']
)
# Of a row, but no scalar to draw.
PLACES = frozenset(['step', 'iter', 'epoch', 'data_time', 'loss_floor', 'eta'])
FLOOR = 'loss_floor'


class Chart(NamedTuple):
    """What is drawn in one chart.

    Attributes:
        title (str): Its heading.
        caption (str): A line below.
        lines (dict[str, list[tuple]]): Steps and values of each curve by name.
        from_zero (bool): Whether the axis of the values includes 0. Defaults to
            False.
    """

    title: str
    caption: str
    lines: dict[str, list[tuple[float, float | None]]]
    from_zero: bool = False


class DrawnChart(NamedTuple):
    """A chart as the page shows it.

    Attributes:
        title (str): Its heading.
        svg (Markup): The drawing.
        caption (str): A line below.
        legend (list[tuple]): Number of the colour and name of each curve, empty
            if there is one.
    """

    title: str
    svg: Markup
    caption: str
    legend: list[tuple[int, str]]


def training_charts(
    rows: Sequence[dict[str, Any]], evaluations: Sequence[dict[str, Any]]
) -> dict[str, Chart]:
    """The charts of the scalars of a training.

    Args:
        rows (Sequence[dict]): Scalars with their ``step``.
        evaluations (Sequence[dict]): Those of evaluations.

    Returns:
        dict[str, Chart]: By the name of the scalar: those that every training
        has come first, then what else there is.
    """
    found: dict[str, Chart] = {}
    derived = [dict(row, **derive(row)) for row in rows]
    names = dict.fromkeys([*TRAINING, *(key for row in derived for key in row)])
    for key in names:
        points = curve(derived, key)
        if key in PLACES or not points:
            continue
        title, caption = TRAINING.get(key, (heading(key), ''))
        lines = {'': points}
        if key == 'loss' and (floor := curve(rows, FLOOR)):
            lines = {'loss': points, 'floor': floor}
        elif key == 'loss':
            title, caption = 'Loss', ''
        found[key] = Chart(title, caption, lines, key in AMOUNTS)
    for key in dict.fromkeys(key for row in evaluations for key in row):
        if key not in (*PLACES, 'time') and (points := curve(evaluations, key)):
            found[f'evaluation {key}'] = Chart(heading(key), '', {'': points})
    return found


def health_charts(rows: Sequence[dict[str, Any]]) -> dict[str, Chart]:
    """The charts of ``health.json``.

    Args:
        rows (Sequence[dict]): Figures with their ``step``; a figure with parts
            is a dictionary of numbers.

    Returns:
        dict[str, Chart]: By heading: those of ``HEALTH``, then what else there
        is.
    """
    placed = [row for row in rows if 'step' in row]
    known = {key for _, _, names in HEALTH for key in names}
    others = tuple(
        (heading(key), '', {key: ''})
        for key in dict.fromkeys(key for row in placed for key in row)
        if key not in known | PLACES | ELSEWHERE
    )
    found = {}
    for title, caption, names in HEALTH + others:
        lines: dict[str, list] = {}
        for key, name in names.items():
            if points := curve(placed, key):
                lines[name] = points
            lines.update(curves_of_parts(placed, key))
        if lines:
            found[title] = Chart(title, caption, lines)
    return found


def curves_of_parts(rows: Sequence[dict[str, Any]], key: str) -> dict[str, list]:
    """A curve for each part of a figure, where it is a dictionary."""
    parts = [
        dict(each, step=row['step'])
        for row in rows
        if isinstance(each := row.get(key), dict)
    ]
    names = dict.fromkeys(name for part in parts for name in part if name != 'step')
    return {spoken(name): points for name in names if (points := curve(parts, name))}


def derive(row: dict[str, Any]) -> dict[str, float]:
    """What is computed from the scalars of a step: loss over floor, waiting."""
    found = {}
    if is_number(row.get('loss')) and is_number(row.get(FLOOR)):
        found['over'] = row['loss'] - row[FLOOR]
    if is_number(row.get('data_time')) and is_number(row.get('time')) and row['time']:
        found['waiting'] = 100 * row['data_time'] / row['time']
    return found


def curve(rows: Sequence[dict[str, Any]], key: str) -> list[tuple[float, float | None]]:
    """Steps and values of a scalar; empty if it never is a number."""
    points = [
        (row['step'], row[key] if is_number(row[key]) else None)
        for row in rows
        if key in row
    ]
    return points if any(value is not None for _, value in points) else []


def is_number(value: object) -> bool:
    """Whether a value can be drawn; truth values are no numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def spoken(key: str) -> str:
    """A name of a scalar as words.

    Example:
        >>> spoken('effective_rank')
        'effective rank'
    """
    return key.replace('_', ' ')


def heading(key: str) -> str:
    """A name of a scalar as a heading; one with a path stays as it is.

    Example:
        >>> heading('effective_rank'), heading('coco/bbox_mAP')
        ('Effective rank', 'coco/bbox mAP')
    """
    words = spoken(key)
    return words if '/' in words else words[:1].upper() + words[1:]


def draw_charts(
    runs: Sequence[dict[str, Chart]], names: Sequence[str]
) -> list[DrawnChart]:
    """Draw the charts of a run, or the same ones of several over each other.

    The colour is that of the curve for one run, else that of the run; charts of
    several curves are then drawn one curve at a time.

    Args:
        runs (Sequence[dict]): Charts of each run by name.
        names (Sequence[str]): Names of the runs, for the legend.

    Returns:
        list[DrawnChart]: The charts.
    """
    if len(runs) == 1:
        charts: Iterator = (
            (chart, [*chart.lines.items()]) for chart in runs[0].values()
        )
    else:
        charts = overlay(runs, names)
    drawn = []
    for chart, curves in charts:
        lines = [
            Line(
                name, [each for each, _ in points], [each for _, each in points], color
            )
            for color, (name, points) in enumerate(curves)
            if points
        ]
        if svg := draw_lines(lines, chart.title, from_zero=chart.from_zero):
            # Colours say which run it is, also where only one has the figure.
            legend = [(each.color, each.name) for each in lines if each.name]
            drawn.append(DrawnChart(chart.title, svg, chart.caption, legend))
    return drawn


def overlay(
    runs: Sequence[dict[str, Chart]], names: Sequence[str]
) -> Iterator[tuple[Chart, list[tuple[str, list]]]]:
    """Yield each curve of any run with that of all runs."""
    for key in dict.fromkeys(key for run in runs for key in run):
        own = [run.get(key) for run in runs]
        first = next(chart for chart in own if chart)
        parts = dict.fromkeys(part for chart in own if chart for part in chart.lines)
        for part in parts:
            title = f'{first.title}: {part}' if part else first.title
            yield (
                first._replace(title=title),
                [
                    (name, chart.lines.get(part, []) if chart else [])
                    for name, chart in zip(names, own)
                ],
            )
