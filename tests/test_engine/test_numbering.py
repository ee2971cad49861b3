"""What a run has written, after a resume that counts iterations anew."""

import json

import pytest

from soco_mm.engine.layout import Layout
from soco_mm.engine.numbering import NUMBERING, renumber
from soco_mm.engine.timeline import share_time
from soco_mm.runs.record import RunRecord, read_scalars

ONE = Layout(images=8, accumulated=1, iterations=100)
# The same steps of four iterations; steps of twice the images.
FOUR = Layout(images=8, accumulated=4, iterations=400)
LARGER = Layout(images=16, accumulated=1, iterations=50)


@pytest.fixture
def run(tmp_path):
    """Two epochs of a hundred iterations, of which 150 have a checkpoint."""
    rows = [
        dict(loss=8.0 - n / 100, time=0.4, data_time=0.1, epoch=-(-n // 100), iter=n)
        for n in range(25, 201, 25)
    ]
    lines = [json.dumps(dict(each, step=each['iter'])) for each in rows]
    lines.insert(4, json.dumps(dict(accuracy=0.5, step=1)))  # an evaluation
    (tmp_path / 'vis_data').mkdir()
    text = '\n'.join(lines) + '\n{"loss": 5.9, "it'
    (tmp_path / 'vis_data/scalars.json').write_text(text)
    health = dict(version=1, rows=[dict(iter=50), dict(iter=200)], verdicts=[])
    (tmp_path / 'health.json').write_text(json.dumps(health))
    (tmp_path / 'retrieval.json').write_text(
        json.dumps(dict(before=dict(found=0.5), during=[dict(epoch=1, iter=100)]))
    )
    process = dict(start=0, end=100, first=0, last=200, seconds=dict(steps=100))
    (tmp_path / 'timeline.json').write_text(
        json.dumps(dict(version=1, processes=[process]))
    )
    return tmp_path


def numbers(run):
    """Of iterations in all four files, in order."""
    return [
        [each['step'] for each in read_scalars([run / 'vis_data/scalars.json'])[0]],
        [
            each['iter']
            for each in json.loads((run / 'health.json').read_text())['rows']
        ],
        [
            each['iter']
            for each in json.loads((run / 'retrieval.json').read_text())['during']
        ],
        [RunRecord.read(run).processes[0][key] for key in ('first', 'last')],
    ]


@pytest.mark.parametrize('now, factor', [(FOUR, 4), (LARGER, 0.5)])
def test_all_files_of_a_run_count_in_its_iterations(run, now, factor):
    before = numbers(run)
    for _ in range(2):  # after a kill it is done again, from the same checkpoint
        renumber(run, ONE, now)
        # Down to whole steps: 25 are 12.5.
        assert numbers(run) == [[int(n * factor) for n in each] for each in before]
    rows, (evaluation,) = read_scalars([run / 'vis_data/scalars.json'])
    assert (evaluation['accuracy'], evaluation['step']) == (0.5, 100 * factor)
    # An iteration is a part of a step, which takes as long as before.
    assert rows[0]['time'] * now.accumulated == pytest.approx(0.4)
    assert rows[0]['data_time'] * now.accumulated == pytest.approx(0.1)
    text = (run / 'vis_data/scalars.json').read_text()
    assert text.splitlines()[-1] == '{"loss": 5.9, "it'
    # And back.
    renumber(run, now, ONE)
    assert numbers(run)[1:] == before[1:]
    assert json.loads((run / NUMBERING).read_text())['iterations'] == 100


def test_steps_that_are_not_lost_are_not_counted_as_lost(run):
    renumber(run, ONE, LARGER)
    (process,) = RunRecord.read(run).processes
    then = dict(process, start=120, end=180, first=75, last=100)
    shares = share_time([process, then])
    assert shares['lost'] == pytest.approx(25.0)  # 50 of 200 iterations, of 100 s


def test_nothing_changes_where_iterations_have_the_same_numbers(run):
    kept = {path: path.read_bytes() for path in run.rglob('*.json')}
    renumber(run, ONE, Layout(images=64, accumulated=1, iterations=100))
    assert {path: path.read_bytes() for path in run.rglob('*.json')} == kept


def test_a_folder_without_a_run_stays_empty(tmp_path):
    renumber(tmp_path, ONE, FOUR)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('text', ['{"pages": 8}', '[8]', '{"ima'])
def test_a_numbering_that_is_no_layout_is_passed_over(run, text):
    before = numbers(run)
    (run / NUMBERING).write_text(text)
    renumber(run, ONE, FOUR)
    assert numbers(run) == [[4 * each for each in every] for every in before]
