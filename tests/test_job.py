"""Folders that belong to one run."""

import json
import math

import pytest

from soco_mm.job import claim_run, read_options, resumed_arguments, written_options
from soco_mm.utils import UsageError

JOB = dict(
    images=['/a', '/b'],
    config='soco_r50_fpn_100e',
    epochs=2,
    batch_size=16,
    preset='paper',
    options=written_options({'x.size': (96, 96)}),
    settings=dict(
        x=dict(size=(96, 96)),
        default_hooks=dict(logger=dict(interval=50)),
        train_dataloader=dict(num_workers=4, batch_size=16),
        optim_wrapper=dict(optimizer=dict(lr=8.0, type='LARS')),
    ),
)


def changed(**values):
    """The job with other values, the settings' by dotted key."""
    job = json.loads(json.dumps(JOB))
    for key, value in values.items():
        node = job
        *parts, last = key.split('.')
        for part in parts:
            node = node[part]
        node[last] = value
    return job


@pytest.fixture
def run(tmp_path):
    assert claim_run(tmp_path / 'run', JOB, False, False) == {}
    return tmp_path / 'run'


def test_the_same_run_is_continued_only_with_resume(run):
    with pytest.raises(UsageError, match='--resume') as refused:
        claim_run(run, JOB, False, False)
    assert '--overwrite' not in str(refused.value)
    assert claim_run(run, JOB, True, False) == {}


@pytest.mark.parametrize(
    'key, value',
    [
        ('settings.default_hooks.logger.interval', 5),
        ('settings.train_dataloader.num_workers', 0),
        ('settings.train_dataloader.batch_size', 8),
        ('settings.optim_wrapper.optimizer.lr', 1.0),
        ('batch_size', 8),
        ('epochs', 3),
    ],
)
def test_what_is_harmless_or_converted_may_differ(run, capsys, key, value):
    job = changed(**{key: value})
    with pytest.raises(UsageError, match='now .*--resume') as refused:
        claim_run(run, job, False, False)
    assert '--overwrite' not in str(refused.value)
    told = claim_run(run, job, True, False)
    assert [now for _, now in told.values()] == [value]
    assert f', now {value}\n' in capsys.readouterr().out
    # What it is from now on.
    assert claim_run(run, job, True, False) == {}


@pytest.mark.parametrize(
    'key, value, words',
    [
        ('epochs', 1, 'epochs=2, now 1'),
        ('preset', 'released', 'preset=paper, now released'),
        ('settings.x.size', [96, 64], r'x.size=\[96, 96\], now \[96, 64\]'),
        ('settings.optim_wrapper.optimizer.type', 'SGD', 'LARS, now SGD'),
        ('images', '/c', r"images=\['/a', '/b'\], now /c"),
    ],
)
def test_what_makes_another_run_is_named_in_words(run, key, value, words):
    for resume in (False, True):
        with pytest.raises(UsageError, match=words) as refused:
            claim_run(run, changed(**{key: value}), resume, False)
        assert ('--overwrite' in str(refused.value)) is not resume
    assert json.loads((run / 'job.json').read_text()) == changed()


def test_the_name_of_a_config_is_not_what_it_says(run):
    assert claim_run(run, changed(config='/copied/config.py'), True, False) == {}


def test_a_resumed_run_takes_what_is_not_given_from_its_start(run):
    given = dict.fromkeys(['images', 'epochs', 'options'])
    assert resumed_arguments(run, given) == dict(
        images=['/a', '/b'], epochs=2, options={'x.size': (96, 96)}
    )
    given.update(epochs=3, options={'log_level': 'ERROR'})
    assert resumed_arguments(run, given) == dict(
        images=['/a', '/b'],
        epochs=3,
        options={'x.size': (96, 96), 'log_level': 'ERROR'},
    )


def test_without_a_run_arguments_are_as_given(tmp_path):
    given = dict(images=None, epochs=3)
    assert resumed_arguments(tmp_path, given) == given


def test_a_run_of_a_version_that_noted_less_is_refused(run):
    older = changed()
    del older['settings']
    (run / 'job.json').write_text(json.dumps(older))
    with pytest.raises(UsageError, match='another version'):
        claim_run(run, JOB, True, False)


def test_foreign_files_are_left_alone(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    for flags in ((False, False), (True, False), (False, True)):
        with pytest.raises(UsageError, match='is not a run'):
            claim_run(tmp_path, JOB, *flags)
    assert (tmp_path / 'thesis.txt').read_text() == 'mine'


def test_a_run_of_the_other_kind_is_named(run):
    finetuning = dict(exported='/exported', train='/train.json', options={})
    for resume, overwrite in ((False, False), (True, False), (False, True)):
        with pytest.raises(UsageError, match='a pretraining, not a fine-tuning'):
            claim_run(run, finetuning, resume, overwrite)
    with pytest.raises(UsageError, match='a pretraining, not a fine-tuning'):
        resumed_arguments(run, finetuning)
    claim_run(run.with_name('detector'), finetuning, False, False)
    with pytest.raises(UsageError, match='a fine-tuning, not a pretraining'):
        resumed_arguments(run.with_name('detector'), dict(images=None))


@pytest.mark.parametrize('key', ['proposals', 'init', 'images'])
def test_overwrite_deletes_nothing_that_the_run_reads(run, tmp_path, key):
    (run / 'kept').mkdir()
    (tmp_path / 'link').symlink_to(run)
    (tmp_path / 'elsewhere').mkdir()
    (run / 'kept too').symlink_to(tmp_path / 'elsewhere')
    for path in (run / 'kept', tmp_path / 'link/kept', run / 'kept too'):
        given = ['/a', str(path)] if key == 'images' else str(path)
        with pytest.raises(UsageError, match=rf'would delete .*kept.*\({key}\)'):
            claim_run(run, changed(**{key: given}), False, True)
        assert (run / 'kept').is_dir() and (run / 'job.json').is_file()
    # What is not there, and folders above, are not deleted.
    job = changed(images=str(tmp_path), init=str(run / 'none'))
    assert claim_run(run, job, False, True) == {}


@pytest.mark.parametrize(
    'key',
    ['load_from', 'init_weights.checkpoint', 'train_dataloader.dataset.proposals'],
)
@pytest.mark.parametrize('part', ['options', 'settings'])
def test_overwrite_deletes_nothing_that_a_config_reads(run, key, part):
    (run / 'kept').mkdir()
    if part == 'options':
        given = written_options({key: str(run / 'kept')})
    else:
        given = str(run / 'kept')
        for name in reversed(key.split('.')):
            given = {name: given}
    with pytest.raises(UsageError, match=rf'would delete .*kept.*\({key}\)'):
        claim_run(run, changed(**{part: given}), False, True)
    assert (run / 'kept').is_dir()


def test_options_are_read_as_they_were_given():
    options = dict(a=float('inf'), b=[-float('inf'), 1], c=(1, 'inf'), d='x y', e=None)
    assert read_options(written_options(options)) == options
    assert math.isnan(read_options(written_options(dict(a=float('nan'))))['a'])


def test_a_job_that_cannot_be_read_can_be_overwritten(run):
    (run / 'job.json').write_text('{')
    with pytest.raises(UsageError, match='Start again with --overwrite'):
        claim_run(run, JOB, True, False)
    assert claim_run(run, JOB, False, True) == {}


def test_overwrite_deletes_all_of_the_earlier_run(run):
    (run / 'checkpoints').mkdir()
    (run / 'checkpoints/epoch_1.pth').write_text('old')
    assert claim_run(run, changed(preset='released'), False, True) == {}
    assert [path.name for path in run.iterdir()] == ['job.json']


@pytest.mark.parametrize(
    'name', ['detector/job.json', 'a/b/job.json', 'export/soco_weights.pth']
)
def test_other_results_in_a_run_are_not_overwritten(tmp_path, name):
    out, job = tmp_path / 'run', dict(images='images')
    claim_run(out, job, False, False)
    for part in ('exported', 'checkpoints', name.rpartition('/')[0]):
        (out / part).mkdir(parents=True)
    (out / 'exported/soco_weights.pth').touch()
    (out / name).touch()
    with pytest.raises(
        UsageError, match=f'delete .*{name.rpartition("/")[0]}, which is'
    ):
        claim_run(out, job, False, True)
    assert (out / name).is_file() and (out / 'job.json').is_file()
    (out / name).unlink()
    claim_run(out, job, False, True)
    assert [each.name for each in out.iterdir()] == ['job.json']
