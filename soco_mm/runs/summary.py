"""What a run's page says of it, out of its files."""

from datetime import datetime
from math import isfinite
from typing import Any

from soco_mm.engine.health import HEALTH
from soco_mm.engine.retrieval import describe_retrieval, percent, rounded
from soco_mm.engine.timeline import TIMELINE, share_time
from soco_mm.runs.pictures import SEARCHED_IMAGES, pictures_of
from soco_mm.runs.record import EXPORTED, SCALARS, RunRecord
from soco_mm.utils.differences import flatten
from soco_mm.utils.live_line import clock
from soco_mm.visualization.run_charts import (
    MOMENTUM,
    derive,
    health_charts,
    training_charts,
)
from soco_mm.visualization.run_report import ShownRun

WARNING = 'WARNING: '
SPENT = dict(
    steps='optimiser steps',
    lost='steps lost after the last checkpoint',
    waiting='waiting for data',
    checkpoints='checkpoints',
    starting='starting',
    other='measuring, and between epochs',
    stopped='not running',
)


def summarize_run(record: RunRecord, name: str) -> ShownRun:
    """Say what a run did, and what its page leaves out and why.

    Args:
        record (RunRecord): What its folder holds.
        name (str): Its name on the page.

    Returns:
        ShownRun: Texts, charts and pictures.
    """
    sentences = describe_retrieval(record.retrieval)
    views: list = []
    objects: list = []
    if other := other_data_set(record):
        notes = [
            f'Left out: what only a pretraining on objects has; this run is on {other}.'
        ]
    else:
        views, objects, notes = pictures_of(record.as_config(), record.checkpoint)
        notes = missing(record) + notes
    verdicts = [
        f'Step {int(each["step"])}: {each["sentence"]}'
        for each in record.health.get('verdicts', ())
        if 'sentence' in each and 'step' in each
    ]
    health = record.health.get('rows') or []
    training = training_charts(record.rows, record.evaluations)
    charts = health_charts(health)
    # Beside the learning rate, which is a schedule too.
    if momentum := charts.pop(MOMENTUM, None):
        training[MOMENTUM] = momentum
    return ShownRun(
        name=name,
        folder=str(record.folder),
        state=state_of(record),
        figures=figures_of(record),
        verdicts=verdicts
        + [each.removeprefix(WARNING) for each in sentences if WARNING in each],
        findings=[each for each in sentences if WARNING not in each],
        judged=bool(health or sentences),
        training=training,
        health=charts,
        time=time_of(record),
        views=views,
        objects=objects,
        searched=SEARCHED_IMAGES,
        checkpoint=record.checkpoint.name if record.checkpoint else '',
        exported=exported_parts(record.exported),
        export_notes=export_notes(record),
        provenance=made_from(record),
        notes=notes,
        settings=flatten(record.config),
    )


def other_data_set(record: RunRecord) -> str | None:
    """The data set of a run that is no pretraining on objects, as a fine-tuning."""
    loader = record.config.get('train_dataloader') or {}
    name = (loader.get('dataset') or {}).get('type')
    own = name is None or str(name).removeprefix('soco_mm.') == 'ObjectViewDataset'
    return None if own else str(name)


def state_of(record: RunRecord) -> str:
    """How far a run has come, as a sentence."""
    if not record.processes:
        return ''
    last = record.processes[-1]
    seen = datetime.fromtimestamp(last['end']).strftime('%Y-%m-%d %H:%M:%S')
    started = len(record.processes)
    times = f', started {started} times' * (started > 1)
    if last.get('finished'):
        return f'Finished {seen}{times}.'
    return f'Not finished: it is running, or was stopped after {seen}{times}.'


def figures_of(record: RunRecord) -> list[tuple[str, str, str]]:
    """The final figures of a run: name, value and a remark."""
    found: list[tuple[str, str, str]] = []
    if record.rows:
        row = record.rows[-1]
        row = dict(row, **derive(row))
        epoch = row.get('epoch')
        total = record.config.get('train_cfg', {}).get('max_epochs')
        where = f'epoch {epoch}' + f' of {total}' * (total is not None)
        found.append(('steps', str(int(row['step'])), where if epoch else ''))
        loss = f'loss {row["loss"]:.3f}' if number(row, 'loss') else ''
        if number(row, 'over'):
            found.append(('loss above its floor', f'{row["over"]:.3f}', loss))
        elif loss:
            found.append(('loss', f'{row["loss"]:.3f}', ''))
        if number(row, 'time'):
            found.append(('seconds a step', f'{row["time"]:.2f}', ''))
        if number(row, 'waiting'):
            share = percent(row['waiting'] / 100)
            found.append(('waiting for data', share, 'of a step'))
    if record.processes:
        shares = share_time(record.processes)
        found.append(
            ('goodput', percent(shares['goodput']), f'of {clock(shares["wall"])}')
        )
    after, before = (record.retrieval.get(key) for key in ('after', 'before'))
    for key, name, text in (
        ('found', 'objects found again', percent),
        ('rank', 'effective rank', rounded),
    ):
        if after and key in after:
            was = f'{text(before[key])} before' if before and key in before else ''
            found.append((name, text(after[key]), was))
    return found


def number(row: dict[str, Any], key: str) -> bool:
    """Whether a row of scalars has a finite value."""
    return isinstance(row.get(key), (int, float)) and isfinite(row[key])


def time_of(record: RunRecord) -> list[tuple[str, str, str]]:
    """What a run spent its time on, the most first."""
    if not record.processes:
        return []
    shares = share_time(record.processes)
    spent = sorted(SPENT, key=lambda name: -shares[name])
    return [
        (SPENT[name], clock(shares[name]), percent(shares[name] / shares['wall']))
        for name in spent
        # A run of two seconds has shares too.
        if shares[name] > 0.005 * shares['wall']
    ]


def exported_parts(report: dict[str, Any]) -> list[tuple]:
    """A row of each part of the detector in the report of an export."""
    return [
        (name, part['total'], len(part['filled']), len(part['new']))
        for name, part in report.get('parts', {}).items()
    ]


def export_notes(record: RunRecord) -> list[str]:
    """What else is known of an export, a sentence each."""
    report = record.exported
    if not report:
        return []
    folder = (record.folder / EXPORTED).parent
    files = [
        f'{path.name} ({path.stat().st_size / 2**20:.1f} MiB)'
        for path in sorted(folder.iterdir())
        if path.suffix in ('.pth', '.safetensors')
    ]
    notes = [f'Weights: {", ".join(files)}.'] if files else []
    if report.get('config'):
        notes.append(f'Config of the detector: {report["config"]}')
    if (difference := report.get('max_difference')) is not None:
        notes.append(
            'The features of the detector differ from those of the pretrained model '
            f'by at most {difference:.1e} of their size.'
        )
    if report.get('unused'):
        notes.append(f'Without a place in it: {len(report["unused"])} tensors.')
    if report.get('not_handed_over'):
        notes.append(
            f'Not handed over: {len(report["not_handed_over"])} tensors, since '
            f'{report.get("reason")}'
        )
    return notes + list(report.get('notes', ()))


def made_from(record: RunRecord) -> list[tuple[str, str]]:
    """Weights, images, proposals and versions that a run was made from."""
    known = record.provenance
    if not known:
        return []
    images, proposals = known.get('images', {}), known.get('proposals', {})
    rows = [('statement', known.get('statement'))]
    for each in known.get('initial_weights') or ():
        licence = each.get('licence') or 'not given'
        text = f'{each.get("checkpoint")}, licence {licence}'
        rows.append(('initial weights', f'{text}, SHA-256 {each.get("sha256")}'))
    rows += [
        ('images', f'{images.get("number")} in {images.get("root")}'),
        ('SHA-256 of the images', images.get('sha256')),
        ('proposals', proposals.get('folder')),
        ('SHA-256 of the proposals', proposals.get('sha256')),
    ]
    versions = known.get('versions', {})
    rows.append(
        ('versions', ', '.join(f'{name} {each}' for name, each in versions.items()))
    )
    return [(name, str(value)) for name, value in rows if value]


def missing(record: RunRecord) -> list[str]:
    """What the page leaves out since a file is not there, a sentence each."""
    reasons = {
        f'no scalars are logged yet ({SCALARS})': record.rows,
        f'no health yet, or the run is made without it ({HEALTH})': record.health,
        f'no goodput yet, or the run is made without it ({TIMELINE})': record.processes,
        'objects were not measured (retrieval.json): "soco-mm pretrain" does it '
        'at both ends of a run': record.retrieval.get('after'),
        f'nothing is exported yet ({EXPORTED})': record.exported,
        'no provenance (provenance.json)': record.provenance,
        'no config of the run': record.config,
    }
    return [f'Left out: {reason}.' for reason, there in reasons.items() if not there]
