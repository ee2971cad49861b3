"""What is read of the folder of a run."""

import json
from dataclasses import replace

import pytest

from soco_mm.runs.record import RunRecord
from soco_mm.runs.summary import figures_of, missing, state_of, summarize_run, time_of
from soco_mm.utils import UsageError


def log(path, *rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [each if isinstance(each, str) else json.dumps(each) for each in rows]
    path.write_text('\n'.join(lines))


def row(step, loss, **values):
    return dict(iter=step, step=step, epoch=1, loss=loss, **values)


def test_steps_that_were_done_twice_count_once_the_last_time(tmp_path):
    log(
        tmp_path / 'vis_data/scalars.json',
        row(1, 5.0),
        row(2, 4.0),
        {'coco/bbox_mAP': 0.1, 'step': 1},
        row(3, 3.0),  # lost: the run was resumed after step 1
        row(2, 3.9),
        row(3, 2.9),
        '{"iter": 4, "lo',  # being written
    )
    record = RunRecord.read(tmp_path)
    assert [(each['step'], each['loss']) for each in record.rows] == [
        (1, 5.0),
        (2, 3.9),
        (3, 2.9),
    ]
    assert record.evaluations == []
    assert ('loss', '2.900', '') in figures_of(record)


def test_an_evaluation_stands_at_the_step_before_it(tmp_path):
    log(
        tmp_path / 'vis_data/scalars.json',
        row(7, 1.0),
        {'coco/bbox_mAP': 0.25, 'step': 1},
        row(14, 1.0),
    )
    (found,) = RunRecord.read(tmp_path).evaluations
    assert found == {'coco/bbox_mAP': 0.25, 'step': 7}


def test_steps_are_those_of_the_optimiser(tmp_path):
    """20,000 iterations, 16 a step, are 1,250 steps of 6.4 s."""
    log(tmp_path / 'vis_data/scalars.json', row(20000, 1.0, time=0.4, data_time=0.1))
    (tmp_path / 'vis_data/config.py').write_text(
        'optim_wrapper = dict(accumulative_counts=16)'
    )
    health = dict(
        rows=[dict(iter=20000, effective_rank_head=9.0)],
        verdicts=[dict(iter=32, sentence='S.')],
    )
    (tmp_path / 'health.json').write_text(json.dumps(health))
    shown = summarize_run(RunRecord.read(tmp_path), 'RUN')
    figures = {name: value for name, value, _ in shown.figures}
    assert (figures['steps'], figures['seconds a step']) == ('1250', '6.40')
    assert figures['waiting for data'] == '25 %'
    assert shown.verdicts == ['Step 2: S.']
    assert shown.health['Effective rank'].lines == {'head': [(1250, 9.0)]}


def test_logs_of_several_processes_follow_each_other(tmp_path):
    log(tmp_path / '20260102_000000/vis_data/scalars.json', row(2, 2.0))
    log(tmp_path / '20260101_000000/vis_data/scalars.json', row(1, 1.0), row(2, 9.0))
    log(tmp_path / 'exported/vis_data/scalars.json', row(3, 3.0))  # of something else
    losses = [each['loss'] for each in RunRecord.read(tmp_path).rows]
    assert losses == [1.0, 2.0]


def test_the_config_of_a_run_is_read_and_not_run(tmp_path):
    marker = tmp_path / 'run'
    (tmp_path / '20260101_000000').mkdir()  # as MMEngine begins
    (tmp_path / 'recipe.py').write_text(
        f'train_cfg = dict(max_epochs=9)\nx = open({str(marker)!r}, "w")\n'
    )
    record = RunRecord.read(tmp_path)
    assert record.config == dict(train_cfg=dict(max_epochs=9))
    assert not marker.exists()


def test_what_is_missing_or_damaged_is_left_out_with_a_sentence(tmp_path):
    (tmp_path / 'job.json').write_text('{}')
    names = ('health.json', 'timeline.json', 'retrieval.json', 'provenance.json')
    for text in ('{"a', '[]', '\ufffd'):
        for name in names:
            (tmp_path / name).write_text(text)
        record = RunRecord.read(tmp_path)
        assert record.health == {} and record.processes == []
        assert record.checkpoint is None and record.rows == []
        sentences = ' '.join(missing(record))
        assert all(name in sentences for name in names)
        assert figures_of(record) == [] and state_of(record) == ''


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    (tmp_path / 'setup.py').write_text('a = 1')  # as an export has a config
    with pytest.raises(UsageError, match='is not the folder of a run'):
        RunRecord.read(tmp_path)
    with pytest.raises(UsageError, match='is not the folder of a run'):
        RunRecord.read(tmp_path / 'nowhere')


def test_a_fine_tuning_has_its_metrics_and_one_sentence(tmp_path):
    log(
        tmp_path / 'vis_data/scalars.json',
        row(3, 1.5, acc=95.0),
        {'coco/bbox_mAP': 0.25, 'time': 7.0, 'step': 1},
    )
    (tmp_path / 'detector.py').write_text(
        "train_dataloader = dict(dataset=dict(type='CocoDataset'))"
    )
    shown = summarize_run(RunRecord.read(tmp_path), 'RUN')
    titles = [chart.title for chart in shown.training.values()]
    assert titles == ['Loss', 'Acc', 'coco/bbox mAP']
    (note,) = shown.notes
    assert 'this run is on CocoDataset' in note


@pytest.mark.parametrize('length', (1.0, 86_400.0))
def test_states_are_shown_by_their_share_however_long_the_run(length, tmp_path):
    log(tmp_path / 'vis_data/scalars.json', row(8, 1.0))
    shares = dict(steps=0.9, checkpoints=0.096, starting=0.004)
    seconds = {name: share * length for name, share in shares.items()}
    once = dict(start=0.0, end=length, first=0, last=8, seconds=seconds)
    record = replace(RunRecord.read(tmp_path), processes=[once])
    shown = [(name, share) for name, _, share in time_of(record)]
    assert shown == [('optimiser steps', '90 %'), ('checkpoints', '9.6 %')]
