"""The page of a run, or of two side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from .pages import render
from .run_charts import Chart, draw_charts

MOST_CHARACTERS = 300  # of a value of a config


@dataclass
class ShownRun:
    """What the page says of a run.

    Attributes:
        name (str): Its name.
        folder (str): Its folder.
        state (str): How far it has come, a sentence.
        figures (list[tuple]): Name, value and a remark on each final figure.
        verdicts (list[str]): What is wrong, a sentence each.
        findings (list[str]): What else was measured, a sentence each.
        judged (bool): Whether anything was measured that verdicts come from.
        training (dict[str, Chart]): Charts of its scalars.
        health (dict[str, Chart]): Charts of its health.
        time (list[tuple]): What it spent time on, how much, and the share.
        views (list[tuple]): Names of images, and captions and JPEGs of each.
        objects (list): Objects with ``views`` and ``neighbours``, which are
            captions and JPEGs.
        searched (int): Number of images among which neighbours were looked for.
        checkpoint (str): Where the features are from.
        exported (list[tuple]): A row of each part of the detector.
        export_notes (list[str]): Sentences below.
        provenance (list[tuple]): What it was made from, names and values.
        notes (list[str]): What the page leaves out and why, a sentence each.
        settings (dict): Its config by dotted key.
    """

    name: str
    folder: str
    state: str
    figures: list[tuple[str, str, str]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    judged: bool = False
    training: dict[str, Chart] = field(default_factory=dict)
    health: dict[str, Chart] = field(default_factory=dict)
    time: list[tuple[str, str, str]] = field(default_factory=list)
    views: list[tuple[str, list]] = field(default_factory=list)
    objects: list = field(default_factory=list)
    searched: int = 0
    checkpoint: str = ''
    exported: list[tuple] = field(default_factory=list)
    export_notes: list[str] = field(default_factory=list)
    provenance: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settings: dict[str, object] = field(default_factory=dict)

    @property
    def config(self) -> list[tuple[str, str]]:
        """list[tuple]: Dotted keys and values as text."""
        return [(key, as_text(value)) for key, value in self.settings.items()]


def render_run_report(runs: Sequence[ShownRun]) -> str:
    """Write the page: HTML that needs no other file.

    Args:
        runs (Sequence[ShownRun]): One run, or two that are compared.

    Returns:
        str: The page.
    """
    names = [run.name for run in runs]
    return render(
        'run_report.html.j2',
        runs=runs,
        two=len(runs) > 1,
        figures=side_by_side(runs),
        training=draw_charts([run.training for run in runs], names),
        health=draw_charts([run.health for run in runs], names),
        searched=max(run.searched for run in runs),
        differences=differing([run.settings for run in runs]),
    )


def side_by_side(runs: Sequence[ShownRun]) -> list[list[str]]:
    """The final figures of all runs, a row each; an en dash where there is none."""
    tables = [
        {
            name: value + f' ({words})' * bool(words)
            for name, value, words in run.figures
        }
        for run in runs
    ]
    names = dict.fromkeys(name for table in tables for name in table)
    return [[name, *(table.get(name, '–') for table in tables)] for name in names]


def differing(settings: Sequence[dict[str, object]]) -> list[list[str]]:
    """The values of configs that differ, a row each."""
    keys = dict.fromkeys(key for each in settings for key in each)
    rows = []
    for key in keys:
        texts = [repr(each[key]) if key in each else '–' for each in settings]
        if len(set(texts)) > 1:
            shown = [as_text(each[key]) if key in each else '–' for each in settings]
            if len(set(shown)) == 1:  # they part after what is shown, or in type
                same = [len(set(letters)) == 1 for letters in zip(*texts)]
                start = max(0, [*same, False].index(False) - 20)
                shown = ['...' * (start > 0) + as_text(text[start:]) for text in texts]
            rows.append([key, *shown])
    return rows


def as_text(value: object) -> str:
    """A value of a config as text, cut if it is long.

    Example:
        >>> as_text([1, 'a']), as_text(None), len(as_text('x' * 1000))
        ("[1, 'a']", 'None', 303)
    """
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + '...'
