"""One page that shows how a run went."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soco_mm.runs.record import RunRecord
from soco_mm.runs.summary import summarize_run
from soco_mm.utils import UsageError, atomic_write
from soco_mm.utils.claim import claim
from soco_mm.visualization.pages import is_page
from soco_mm.visualization.run_report import render_run_report

from .results import Shown

PAGE = 'report.html'


@dataclass(frozen=True)
class RunReportResult(Shown):
    """The page of a run.

    Attributes:
        report (Path): The HTML page.
        figures (dict[str, dict[str, str]]): Final figures by name, of each run
            by its name.
        verdicts (dict[str, list[str]]): What is wrong with each run.
        left_out (dict[str, list[str]]): What the page does not show of each, and
            why.
    """

    TITLE = 'Report on a run'

    report: Path
    figures: dict[str, dict[str, str]]
    verdicts: dict[str, list[str]]
    left_out: dict[str, list[str]]

    def _shown_values(self) -> dict[str, object]:
        """The page, and the figures."""
        values: dict[str, object] = dict(report=self.report)
        for run, figures in self.figures.items():
            values |= {f'{run}: {name}': value for name, value in figures.items()}
        return values


def report_run(
    runs: str | Path | Sequence[str | Path], out: str | Path | None = None
) -> RunReportResult:
    """Write an HTML page about a run, or one that compares two.

    Loss above its floor, learning rate and other scalars, health and what is
    wrong, where the time went, what the model sees, which objects it finds
    alike, the config, and what the run was made from and has exported. The run
    may have finished, have been killed, or still go on: nothing in its folder is
    changed but the page, and what is not there is left out with a sentence. The
    features of some objects are computed on the CPU, from the last checkpoint.

    Args:
        runs (str | Path | Sequence): The folder of a run, or two.
        out (str | Path, optional): The HTML file. Defaults to None,
            ``report.html`` in the folder of the (first) run.

    Returns:
        RunReportResult: The page, and what it says.

    Raises:
        UsageError: If a folder is not that of a run, there are more than two, or
            ``out`` is no such page or cannot be written.
    """
    folders = [runs] if isinstance(runs, (str, Path)) else list(runs)
    if not 1 <= len(folders) <= 2:
        raise UsageError(f'Give one run, or two to compare, not {len(folders)}.')
    records = [RunRecord.read(Path(folder).resolve()) for folder in folders]
    page = claim(
        records[0].folder / PAGE if out is None else out,
        'the report',
        Path.is_file if out is None else is_page,
        suffix='.html',
    )
    shown = [
        summarize_run(record, name)
        for record, name in zip(records, name_runs([each.folder for each in records]))
    ]
    atomic_write(page, render_run_report(shown))
    return RunReportResult(
        report=page,
        figures={
            run.name: {name: value for name, value, _ in run.figures} for run in shown
        },
        verdicts={run.name: run.verdicts for run in shown},
        left_out={run.name: run.notes for run in shown},
    )


def name_runs(folders: Sequence[Path]) -> list[str]:
    """Short names of runs: their folders', with more of the path where needed.

    Example:
        >>> name_runs([Path('/runs/a'), Path('/runs/b')])
        ['a', 'b']
        >>> name_runs([Path('/one/RUN'), Path('/two/RUN')])
        ['one/RUN', 'two/RUN']
        >>> name_runs([Path('/a/RUN'), Path('/a/RUN')])
        ['RUN', 'RUN (2)']
    """
    for depth in range(1, 1 + max(len(folder.parts) for folder in folders)):
        names = ['/'.join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(folders):
            return names
    return [folders[0].name, *(f'{folder.name} (2)' for folder in folders[1:])]
