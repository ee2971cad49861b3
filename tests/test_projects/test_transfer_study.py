"""The transfer study: its configs, its parts, and its command."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys

import pytest
import torch
from commands import call, refusal
from conftest import DEMO, ROOT
from mmengine.config import Config
from transfer_records import made_cells
from transfer_study import pretrainings as pretrainings_module
from transfer_study import starts as starts_module
from transfer_study import study as study_module
from transfer_study.cells import Cell, train_cell
from transfer_study.data import DATA_SETS, DataSet
from transfer_study.imagenet import prepare_imagenet
from transfer_study.plan import EXPERIMENTS
from transfer_study.pretrainings import (
    CONFIGS,
    Pretraining,
    prepare_proposals,
    pretrain,
    pretraining_config,
)
from transfer_study.records import CELLS, append_record, read_cells, read_records
from transfer_study.starts import DETECTORS, STARTS, detector_config, start_weights
from transfer_study.study import plan_tasks, run_study
from transfer_study.tasks import Task, run_tasks

from soco_mm.checkpoint import read_checkpoint, write_checkpoint
from soco_mm.detectors.build import build_detector
from soco_mm.openmmlab import installed_type
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError, exclusive

PRETRAININGS = list(dict.fromkeys(s.config for s in STARTS.values() if s.config))
IMAGE_LEVEL = ['byol', 'simsiam', 'mocov2', 'densecl']
# A convolution with its batch norm is 1 + 5 tensors: the stem, a block of two, 16 of
# three, and a last one. FPN: four lateral and four output convolutions. Head: four
# convolutions, one layer of two tensors. RPN: three convolutions without norms.
BACKBONE, NECK, HEAD, RPN = 6 * (1 + 2 + 16 * 3 + 1), 6 * 8, 6 * 4 + 2, 3 * 2


def image_level_installed():
    try:
        installed_type('mmselfsup.BYOL')
    except SoCoError:
        return False
    return True


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    """The folder of a study with a backbone, here of random weights."""
    work = tmp_path_factory.mktemp('work')
    torch.manual_seed(0)
    backbone = MODELS.build(Config.fromfile(CONFIGS / 'align.py').model.backbone)
    state = {f'backbone.{key}': value for key, value in backbone.state_dict().items()}
    start_weights(work, 'imagenet', '', 0, '').parent.mkdir()
    write_checkpoint(start_weights(work, 'imagenet', '', 0, ''), dict(state_dict=state))
    return work


@pytest.fixture
def data(monkeypatch, work):
    """The demo's photos as a data set of the study, and short trainings."""
    files = ('instances.json', 'instances.json', 'images')
    own = DataSet(*files, (0.1, 0.9), (96, 96), 2, anchor_scale=4)
    monkeypatch.setitem(DATA_SETS, 'demo', own)

    def shortened(name):
        cfg = pretraining_config(name)
        cfg.train_dataloader.batch_size = 4
        cfg.train_cfg.max_steps = 2
        return cfg

    monkeypatch.setattr(pretrainings_module, 'pretraining_config', shortened)
    monkeypatch.setattr(starts_module, 'pretraining_config', shortened)
    prepare_proposals(DEMO, 'demo', work)
    return DEMO


def test_every_start_has_a_config_and_every_config_a_start():
    detectors = {detector_config(each).stem for each in DETECTORS}
    files = {path.stem for path in CONFIGS.glob('*.py')}
    ablation = EXPERIMENTS['ablation'].configs
    assert files == {*PRETRAININGS, *detectors, *ablation}
    for experiment in EXPERIMENTS.values():
        assert {cell.start for cell in experiment.cells()} <= set(STARTS)
        assert set(experiment.data) <= set(DATA_SETS)


def test_tables_use_no_seed_that_settings_were_chosen_with():
    choosing = ('rates', 'length', 'retinanet-rates')
    tuning = {cell.seed for key in choosing for cell in EXPERIMENTS[key].cells()}
    for key, experiment in EXPERIMENTS.items():
        if key not in choosing:
            assert tuning.isdisjoint(experiment.seeds)


@pytest.mark.parametrize('name', PRETRAININGS)
def test_all_pretrainings_have_the_steps_batch_and_backbone_of_the_short_recipe(name):
    short, cfg = pretraining_config('short'), pretraining_config(name)
    assert cfg.train_cfg == short.train_cfg
    assert cfg.param_scheduler == short.param_scheduler
    assert cfg.train_dataloader.batch_size == short.train_dataloader.batch_size
    ours, theirs = (
        dict(each.model.backbone, out_indices=None, init_cfg=None)
        for each in (cfg, short)
    )
    assert ours == theirs
    if name != 'soco':
        assert cfg.optim_wrapper.optimizer == short.optim_wrapper.optimizer
    assert [view['size'] for view in cfg.train_pipeline[1]['views']][:2] == [128, 128]


@pytest.mark.parametrize(
    ('name', 'filled'),
    [
        ('soco', {'soco': BACKBONE + NECK + HEAD}),
        ('short', {'short': BACKBONE + NECK, 'short-all': BACKBONE + NECK + HEAD}),
        ('align', {'align': BACKBONE + NECK}),
        ('rpn', {'rpn': BACKBONE + NECK + RPN}),
    ],
)
def test_what_is_pretrained_starts_from_imagenet_and_is_in_the_detector(
    name, filled, data, work
):
    pretraining = Pretraining(name, 'demo', 3)
    found = pretrain(pretraining, data, work)
    assert found['retrieval']['after']['objects'] > 0
    given = read_checkpoint(start_weights(work, 'imagenet', '', 0, ''))['state_dict']
    for start, number in filled.items():
        state = read_checkpoint(start_weights(work, start, 'demo', 3, 'faster-rcnn'))[
            'state_dict'
        ]
        assert len(state) == number
        detector = build_detector(detector_config('faster-rcnn'))
        assert detector.load_state_dict(state, strict=False).unexpected_keys == []
        key = 'backbone.conv1.conv.weight'
        moved = (state[key] - given[key]).norm() / given[key].norm()
        assert moved == 0 if name in ('align', 'rpn') else 0 < moved < 0.1
        # A frozen backbone is compared without the rest, from whole files alone.
        alone = start_weights(work, start, 'demo', 3, 'faster-rcnn', True)
        assert set(read_checkpoint(alone)['state_dict']) == set(given)
    files = pretraining.folder(work).glob('*/soco_weights.pth')
    assert len(list(files)) == 2 * len(filled)
    assert len(found['hashes']['config']) == len(found['hashes']['weights']) == 16
    # What is done is not done again.
    assert pretrain(pretraining, data, work) == found


def test_a_pretraining_of_another_config_is_made_again(data, work):
    pretraining = Pretraining('align', 'demo', 3)
    found = pretrain(pretraining, data, work)
    result, last = (
        pretraining.folder(work) / name for name in ('result.json', 'last.pth')
    )
    last.unlink()
    result.write_text(result.read_text().replace(found['hashes']['config'], 'other'))
    assert pretrain(pretraining, data, work)['hashes'] == found['hashes']
    assert last.is_file()


@pytest.mark.parametrize('name', IMAGE_LEVEL)
def test_an_image_level_pretraining_hands_a_trained_backbone_over(name, data, work):
    if not image_level_installed():
        pytest.skip('neither MMSelfSup nor MMPretrain is installed')
    assert pretrain(Pretraining(name, 'demo', 3), data, work)['retrieval'] == {}
    given = read_checkpoint(start_weights(work, 'imagenet', '', 0, ''))['state_dict']
    state = read_checkpoint(start_weights(work, name, 'demo', 3, 'faster-rcnn'))[
        'state_dict'
    ]
    assert set(state) == set(given)
    key = 'backbone.conv1.conv.weight'
    assert 0 < (state[key] - given[key]).norm() / given[key].norm() < 0.1


def test_a_detector_starts_from_what_its_cell_says(data, work, tmp_path):
    cell = Cell('demo', 'imagenet', 0.6, 1, 0.01, 2)
    found = train_cell(cell, data, work)
    assert (found['images'], found['cell']) == (3, cell._asdict())
    assert {'bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75'} <= set(found['metrics'])
    cfg = Config.fromfile(work / 'detectors' / cell.name / 'config.py')
    assert cfg.optim_wrapper.optimizer.lr == 0.01
    assert cfg.train_cfg.max_iters == 2
    assert cfg.model.rpn_head.anchor_generator.scales == [4]
    log = next((work / 'detectors' / cell.name).glob('*/*.log')).read_text()
    assert 'Load checkpoint from' in log and 'soco_weights.pth' in log
    # The same cell gives the same detector, another seed another one.
    again = train_cell(cell, data, work)
    assert again['hashes'] == found['hashes']
    # Its config is the same wherever data and results are.
    moved = [shutil.copytree(each, tmp_path / each.name) for each in (data, work)]
    assert train_cell(cell, *moved)['hashes'] == found['hashes']
    other = train_cell(cell._replace(start='scratch'), data, work)
    assert other['hashes']['start'] is None
    assert other['hashes']['labels'] == found['hashes']['labels']
    assert other['hashes']['detector'] != found['hashes']['detector']


def test_a_start_fits_retinanet_too(data, work):
    pretrain(Pretraining('align', 'demo', 3), data, work)
    cell = Cell('demo', 'align', 1.0, 3, 0.005, 2, 'retinanet')
    assert train_cell(cell, data, work)['metrics']['bbox_mAP'] >= 0
    weights = start_weights(work, 'align', 'demo', 3, 'retinanet')
    state = read_checkpoint(weights)['state_dict']
    # Laterals and outputs of three stages; P2 has no place there.
    assert len(state) == BACKBONE + 2 * 3 * 6


def test_each_row_of_the_ablation_has_a_part_more(data, work):
    parts = []
    for name in EXPERIMENTS['ablation'].configs:
        model = pretraining_config(name).model
        parts.append(
            (model.get('neck') is not None, bool(model.roi_head.get('bbox_head')))
        )
    assert parts == [(False, False), (False, False), (True, False), (True, True)]
    prepare_proposals(data, 'demo', work, whole=True)
    found = pretrain(
        Pretraining('ablation_whole-image', 'demo', 0, 'scratch'), data, work
    )
    # From random weights the backbone learns as fast as the rest.
    log = work / 'pretrainings' / 'demo_ablation_whole-image_scratch_0'
    cfg = Config.fromfile(next(log.glob('*.py')))
    assert 'backbone' not in cfg.optim_wrapper.paramwise_cfg.custom_keys
    assert found['retrieval']['after']['annotated']['classes'] > 1


def test_a_frozen_backbone_stays_as_it_was(data, work, monkeypatch):
    kept = {}
    monkeypatch.setattr(
        torch, 'save', lambda state, path: kept.update(state) or path.touch()
    )
    train_cell(Cell('demo', 'imagenet', 1.0, 0, 0.02, 2, frozen=True), data, work)
    given = read_checkpoint(start_weights(work, 'imagenet', '', 0, ''))['state_dict']
    assert all(torch.equal(kept[key], value) for key, value in given.items())


def test_a_record_that_a_kill_cut_off_is_left_out_and_replaced(tmp_path):
    path = tmp_path / CELLS
    assert read_records(path) == []
    append_record(path, dict(a=1))
    for cut, number in (('{"a": 2, "b', 3), ('{"a": 2}', 4)):
        known = read_records(path)
        with path.open('a') as stream:
            stream.write(cut)
        assert read_records(path) == known
        append_record(path, dict(a=number))
        assert read_records(path) == [*known, dict(a=number)]
    path.write_text('nonsense\n' + path.read_text())
    with pytest.raises(SoCoError, match='Line 1'):
        read_records(path)


def test_a_task_waits_for_the_one_it_needs_and_is_left_out_if_that_fails(tmp_path):
    def task(name, path, record, after=None):
        return Task(name, 'demo', 'records.append_record', (path, record), after)

    path = tmp_path / 'a.jsonl'
    tasks = [
        task('second', path, dict(n=2), after='first'),
        task('first', path, dict(n=1)),
        task('bad', tmp_path / 'missing' / 'b', dict(n=3)),
        task('never', path, dict(n=4), after='bad'),
    ]
    ended = {
        task.name: error for task, _, error in run_tasks(tasks, tmp_path / 'logs', 2)
    }
    assert set(ended) == {'first', 'second', 'bad'}
    assert [each['n'] for each in read_records(path)] == [1, 2]
    assert 'No such file' in ended['bad'] and 'bad.log' in ended['bad']
    assert 'Traceback' in (tmp_path / 'logs' / 'bad.log').read_text()


def test_what_runs_is_stopped_where_the_caller_stops(tmp_path):
    os.mkfifo(tmp_path / 'pipe')  # which nothing reads: to open it never ends
    tasks = [
        Task('endless', 'demo', 'records.append_record', (tmp_path / 'pipe', {})),
        Task('none', 'demo', 'records.read_records', (tmp_path / 'none',)),
    ]
    ended = run_tasks(tasks, tmp_path / 'logs', 2)
    assert next(ended)[0].name == 'none'
    ended.close()
    assert not multiprocessing.active_children()


class Deadly:
    """Kills the process that it is sent to."""

    def __reduce__(self):
        return os._exit, (9,)


def test_a_process_that_is_killed_is_named(tmp_path):
    task = Task('lost', 'demo', 'records.read_records', (Deadly(),))
    with pytest.raises(SoCoError, match='A process was killed, in lost'):
        list(run_tasks([task], tmp_path, 1))


def test_two_starts_of_one_pretraining_share_it(tmp_path):
    cells = [
        Cell('bccd', start, 0.1, seed, 0.02, 500)
        for seed in (0, 1)
        for start in ('imagenet', 'short', 'short-all')
    ]
    alone = [
        Pretraining('short', 'bccd', 0),
        Pretraining('short', 'bccd', 0, 'scratch'),
    ]
    tasks = plan_tasks(cells, alone, tmp_path, tmp_path)
    assert len(tasks) == 6 + 2 + 1
    assert [each.after for each in tasks if each.name.startswith('bccd_10_short')] == [
        'bccd_short_imagenet_0',
        'bccd_short_imagenet_0',
        'bccd_short_imagenet_1',
        'bccd_short_imagenet_1',
    ]


def test_proposals_are_made_only_for_what_is_pretrained(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(
        study_module, 'prepare_proposals', lambda *given: made.append(given[1::2])
    )
    monkeypatch.setattr(study_module, 'prepare_imagenet', lambda *_: None)
    monkeypatch.setattr(study_module, 'run_tasks', lambda *_: (each for each in ()))
    monkeypatch.setattr(study_module, 'check_data', lambda *_: None)
    monkeypatch.setattr(study_module, 'hash_data', lambda *_: '0' * 12)
    run_study(tmp_path, tmp_path / 'out', ['length'])
    assert made == []
    run_study(tmp_path, tmp_path / 'out', ['main', 'ablation'], data_sets=['bccd'])
    assert made == [('bccd', False), ('bccd', True)]


def test_weights_that_are_not_those_of_imagenet_are_refused(tmp_path):
    file = tmp_path / 'weights.pt'
    torch.save({'a': torch.ones(1)}, file)
    with pytest.raises(SoCoError, match='its SHA-256 is'):
        prepare_imagenet(tmp_path / 'work', file)
    assert not start_weights(tmp_path / 'work', 'imagenet', '', 0, '').exists()


def recorded(out, records):
    out.mkdir()
    for each in records.values():
        append_record(out / CELLS, each)


def run_command(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / 'projects/transfer_study/run.py', *arguments],
        capture_output=True,
        text=True,
    )


def test_cells_that_are_recorded_are_not_run_again(tmp_path, monkeypatch):
    out, data = tmp_path / 'out', tmp_path / 'data'
    for path in ('images', 'instances_train.json', 'instances_test.json'):
        target = data / 'bccd' / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(dict(images=[], annotations=[])))
    recorded(out, made_cells('quick', lambda cell: 20 + cell.seed))
    monkeypatch.setattr(study_module, 'hash_data', lambda *_: '0' * 12)
    monkeypatch.setattr(study_module, 'prepare_imagenet', lambda *_: None)
    before = read_cells(out)
    run_study(data, out)
    assert read_cells(out) == before
    with exclusive(out / study_module.WORK, 'a study'):
        with pytest.raises(UsageError, match='Another process is making a study'):
            run_study(data, out)
    monkeypatch.setattr(study_module, 'hash_data', lambda *_: '1' * 12)
    with pytest.raises(UsageError, match='other annotations of bccd'):
        run_study(data, out)
    pretraining = Pretraining('align', 'bccd', 10)._asdict()
    hashes = dict(data='1' * 12, config='0' * 16)
    record = dict(pretraining=pretraining, hashes=hashes)
    append_record(out / 'pretrainings.jsonl', record)
    with pytest.raises(UsageError, match='another config of align'):
        run_study(data, out)
    (out / 'pretrainings.jsonl').unlink()
    record = dict(pretraining=pretraining, hashes=dict(data='1' * 12), precision='int8')
    append_record(out / 'pretrainings.jsonl', record)
    with pytest.raises(UsageError, match='in int8, but this machine computes in'):
        run_study(data, out)


def test_data_sets_without_a_cell_are_refused(tmp_path):
    with pytest.raises(UsageError, match='quick has no cell on raccoon'):
        run_study(tmp_path, tmp_path / 'out', data_sets=['raccoon'])
    assert not (tmp_path / 'out').exists()


def test_the_command_says_what_is_missing_and_still_writes_tables(
    tmp_path, monkeypatch, capsys
):
    out = tmp_path / 'out'
    recorded(out, made_cells('quick', lambda cell: 20 + cell.seed))
    done = run_command(tmp_path, '--out', out, '--quick')
    assert done.returncode == 2
    assert f'There is no {tmp_path / "bccd"}' in done.stderr
    assert 'Traceback' not in done.stderr
    assert '30.5 ± 0.7 (2)' in (out / 'tables.md').read_text()
    for name in ('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES'):  # which it sets
        monkeypatch.setenv(name, '1')
    tool = 'projects/transfer_study/run.py'
    page = tmp_path / 'page.md'
    page.write_text('no tables')
    for path, words in ((page, 'The page lacks'), (tmp_path / 'none', 'is no page')):
        quick = [tmp_path, '--out', out, '--quick', '--page', path]
        code, said = refusal(capsys, *quick, tool=tool)
        assert code == 2 and words in said
    assert refusal(capsys, tmp_path, '--out', out, tool=tool)[0] == 2
    said = call(capsys, '--help', tool=tool).stdout
    assert 'length, rates' in said.replace('\n', ' ')
