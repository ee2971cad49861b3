"""What the folder of a training holds, read without changing anything."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from soco_mm.checkpoint.config_text import plain_data, read_assignments
from soco_mm.checkpoint.provenance import PROVENANCE
from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.health import HEALTH
from soco_mm.engine.init_weights import INIT
from soco_mm.engine.loops import accumulation_of
from soco_mm.engine.numbering import SCALARS, STAMP, find_scalars
from soco_mm.engine.retrieval import read_retrieval
from soco_mm.engine.timeline import read_timeline
from soco_mm.engine.vis_backend import read_lines
from soco_mm.utils import UsageError
from soco_mm.utils.files import read_dict
from soco_mm.utils.image_files import JOB

EXPORTED = 'exported/report.json'


@dataclass(frozen=True)
class RunRecord:
    """What a training has written, as far as it has come.

    A ``step`` is one of the optimiser: of several iterations, if gradients are
    accumulated.

    Attributes:
        folder (Path): The folder of the run.
        rows (list[dict]): The scalars of the training, by ``step``.
        evaluations (list[dict]): Those of evaluations, with the ``step`` before.
        health (dict): ``rows`` and ``verdicts`` of ``health.json``, by ``step``.
        retrieval (dict): See :func:`read_retrieval`.
        processes (list[dict]): See :func:`read_timeline`.
        provenance (dict): ``provenance.json``.
        initial (dict): ``init.json``.
        exported (dict): ``exported/report.json``.
        config (dict): The config, plain data.
        checkpoint (Path, optional): The last checkpoint.

    Of what is missing the value is empty, or None.
    """

    folder: Path
    rows: list[dict[str, Any]]
    evaluations: list[dict[str, Any]]
    health: dict[str, Any]
    retrieval: dict[str, Any]
    processes: list[dict[str, Any]]
    provenance: dict[str, Any]
    initial: dict[str, Any]
    exported: dict[str, Any]
    config: dict[str, Any]
    checkpoint: Path | None

    @classmethod
    def read(cls, folder: str | Path) -> 'RunRecord':
        """Read what is there; a file that is damaged counts as missing.

        Args:
            folder (str | Path): The folder of a run, of ``soco-mm pretrain``,
                ``soco-mm finetune`` or ``tools/train.py``.

        Raises:
            UsageError: If it is not one.
        """
        folder = Path(folder)
        scalars = find_scalars(folder)
        config = find_dumped_config(folder)
        if not (scalars or (folder / JOB).is_file() or is_work_dir(folder)):
            raise UsageError(
                f'{folder} is not the folder of a run: it has neither {SCALARS} nor '
                f'{JOB}. Give what --out was, or the work dir of tools/train.py.'
            )
        settings = read_config(config)
        per_step = accumulation_of(settings.get('optim_wrapper') or {})
        if not isinstance(per_step, int) or per_step < 1:
            per_step = 1
        rows, evaluations = (in_steps(each, per_step) for each in read_scalars(scalars))
        health = read_dict(folder / HEALTH)
        for key, each in health.items():
            if isinstance(each, list):
                health[key] = in_steps(each, per_step)
        return cls(
            folder=folder,
            rows=rows,
            evaluations=evaluations,
            health=health,
            retrieval=read_retrieval(folder),
            processes=read_timeline(folder),
            provenance=read_dict(folder / PROVENANCE),
            initial=read_dict(folder / INIT),
            exported=read_dict(folder / EXPORTED),
            config=settings,
            checkpoint=latest_checkpoint(folder),
        )

    def as_config(self) -> Config:
        """The config as the engine takes it."""
        return Config(self.config)


def read_scalars(files: Sequence[Path]) -> tuple[list[dict], list[dict]]:
    """The scalars of a run: rows of the training, and of its evaluations.

    A run that was killed and resumed does some steps twice: the last time
    counts. A line that is being written is left out.
    """
    rows: list[dict] = []
    evaluations: list[dict] = []
    for path in files:
        for row in read_lines(path):
            if not isinstance(row.get('iter'), int):
                # The step of an evaluation is that of its epoch.
                evaluations.append(dict(row, step=rows[-1]['step'] if rows else 0))
                continue
            row['step'] = row['iter']
            for earlier in (rows, evaluations):
                while earlier and earlier[-1]['step'] >= row['step']:
                    earlier.pop()
            rows.append(row)
    return rows, evaluations


def in_steps(rows: Sequence, accumulated: int) -> list:
    """Rows whose ``step`` or ``iter`` is an iteration, by steps of the optimiser.

    Args:
        rows (Sequence): The rows; what is no dictionary is left out.
        accumulated (int): Iterations of a step.

    Returns:
        list: The rows with their ``step``; times are those of a step.

    Example:
        >>> in_steps([dict(iter=50, loss=1.0, time=0.5)], 4)
        [{'iter': 50, 'loss': 1.0, 'time': 2.0, 'step': 12.5}]
    """
    found = []
    for row in rows:
        if not isinstance(row, dict):
            continue
        row = dict(row)
        done = row.get('step', row.get('iter'))
        if done is not None:
            row['step'] = done / accumulated if accumulated > 1 else done
        for key in ('time', 'data_time'):
            if isinstance(row.get(key), (int, float)):
                row[key] *= accumulated
        found.append(row)
    return found


def is_work_dir(folder: Path) -> bool:
    """Whether MMEngine has begun a training in a folder."""
    return (folder / 'vis_data/config.py').is_file() or any(
        STAMP.fullmatch(each.name) for each in folder.glob('*/')
    )


def find_dumped_config(folder: Path) -> Path | None:
    """The config that MMEngine has written into a run, the newest of several."""
    found = [*folder.glob('*.py'), *folder.glob('vis_data/config.py')]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def read_config(path: Path | None) -> dict[str, Any]:
    """The config of a run as plain data; nothing in it is run."""
    if path is None:
        return {}
    try:
        text = path.read_text(encoding='utf-8')
    except (OSError, ValueError):
        return {}
    return plain_data(read_assignments(text))
