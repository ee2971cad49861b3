"""The page of a real run."""

import json
import shutil

import numpy as np
import pytest
import small
import torch
from browsing import complaints, requested, show, visible
from commands import call, refusal
from torch.nn.functional import normalize
from torch.utils.data import default_collate

from soco_mm.apis.report_run import report_run
from soco_mm.engine.config import load_config
from soco_mm.engine.object_metrics import make_samples, view_features
from soco_mm.engine.training import train_model
from soco_mm.models.utils.batch_statistics import batch_statistics
from soco_mm.registry import MODELS
from soco_mm.runs import pictures as run_pictures
from soco_mm.runs.record import RunRecord
from soco_mm.utils import UsageError


@pytest.fixture(scope='module')
def trained(tmp_path_factory, store, request):
    """A run of four steps on copies of the photos, and the folder of these."""
    folder = tmp_path_factory.mktemp('runs')
    photos = shutil.copytree(request.config.rootpath / 'demo/images', folder / 'photos')
    cfg = load_config(small.SOCO)
    loader = cfg.train_dataloader
    loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    loader.dataset.update(data_root=str(photos), proposals=str(store))
    loader.dataset.pipeline[1].views = [
        dict(size=64),
        dict(size=64, source=0, crop_scale=(0.8, 1.0)),
        dict(size=48, source=1),
    ]
    cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.logger.interval = 1
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='ObjectMetricsHook')]
    cfg.visualizer.save_dir = str(folder / 'RUN')
    train_model(cfg, folder / 'RUN')
    return folder


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run, without a page."""
    left_out = shutil.ignore_patterns('report.html')
    return shutil.copytree(trained / 'RUN', tmp_path / 'RUN', ignore=left_out)


def test_the_page_shows_a_real_run_in_a_browser(trained, browser, capsys):
    run = trained / 'RUN'
    before = {
        path: (path.stat().st_mtime_ns, path.stat().st_size)
        for path in run.rglob('*')
        if path.is_file()
    }
    done = call(capsys, 'report', run)
    assert done.returncode == 0, done.stderr
    page = run / 'report.html'
    assert f'Report: {page}' in done.stdout
    assert 'RUN: steps 4, loss above its floor ' in done.stdout
    after = {path for path in run.rglob('*') if path.is_file()} - {page}
    # Nothing but the page is written.
    assert after == set(before)
    assert all(
        (path.stat().st_mtime_ns, path.stat().st_size) == known
        for path, known in before.items()
    )
    for width in (1280, 390):
        show(browser, page, width)
        assert complaints(browser) == []
        files = [url for url in requested(browser) if not url.startswith('data:')]
        assert files == [page.as_uri()]
        reach = browser.execute_script('return document.documentElement.scrollWidth')
        assert reach <= width
        headings = [each.text for each in visible(browser, 'h2')]
        assert [each for each in headings if each != 'Health'] == [
            'Verdicts',
            'Training',
            'Time',
            'Views',
            'Objects and their nearest',
            'Made from',
        ]
        # Three images with proposals and three views; four objects in three views
        # with six neighbours.
        assert len(visible(browser, '.views img')) == 3 * 4
        assert len(visible(browser, '.crops img')) == 4 * 9
    text = browser.find_element('tag name', 'main').text
    record = RunRecord.read(run)
    last = record.rows[-1]
    assert f'{last["loss"] - last["loss_floor"]:.3f}' in text
    assert 'contains no third-party weights' in text and 'mmengine 0.' in text
    assert 'Left out: nothing is exported yet' in text


def test_neighbours_are_those_of_the_largest_cosine(trained):
    record = RunRecord.read(trained / 'RUN')
    cfg = record.as_config()
    drawn = run_pictures.draw_objects(cfg, record.checkpoint)
    # The same by hand: the network of the checkpoint, box by box.
    net = MODELS.build(load_config(trained / 'RUN/soco_small.py').model)
    net.load_state_dict(torch.load(record.checkpoint)['state_dict'])
    batch = default_collate(make_samples(cfg, run_pictures.SEARCHED_IMAGES, None))
    with torch.no_grad(), batch_statistics(net):
        features = [normalize(each, dim=-1) for each in view_features(net, batch)]
    valid, boxes = batch['valid'][0], batch['boxes'][0]
    chosen = run_pictures.choose_objects(torch.stack(batch['valid']))
    assert len(drawn) == len(chosen) == 4
    for pictures, (image, number) in zip(drawn, chosen):
        query = features[0][image, number]
        found = []
        for i, k in np.argwhere(valid.numpy()):
            a, b = boxes[image, number], boxes[i, k]
            width, height = (torch.minimum(a, b) - torch.maximum(a, b).roll(2))[2:]
            shared = float(width.clamp(min=0) * height.clamp(min=0))
            areas = [float((c[2] - c[0]) * (c[3] - c[1])) for c in (a, b)]
            if i != image or shared <= 0.5 * (sum(areas) - shared):
                found.append(float(features[0][i, k] @ query))
        nearest = sorted(found, reverse=True)[: run_pictures.NEIGHBOURS]
        assert [name for name, _ in pictures.neighbours] == [
            f'{each:.2f}' for each in nearest
        ]
        own = [f'{float(each[image, number] @ query):.2f}' for each in features[1:]]
        assert [name for name, _ in pictures.views] == [
            'V1',
            f'V2, {own[0]}',
            f'V3, {own[1]}',
        ]


def test_objects_are_chosen_where_each_belongs_to_some_views():
    # Two slots for views 1 and 2, two for 1 and 3; the first image lacks some.
    one = [[True, False, False, True], [True] * 4]
    two = [[False] * 4, [True, True, False, False]]
    three = [[False, False, False, True], [False, False, True, True]]
    valid = torch.tensor([one, two, three])
    assert run_pictures.choose_objects(valid) == [(0, 3), (1, 0)]
    assert run_pictures.choose_objects(valid[:1]) == []


def test_a_run_that_was_just_begun_has_a_page(run):
    for name in ('checkpoints', 'timeline.json', 'provenance.json', 'retrieval.json'):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    scalars = run / 'vis_data/scalars.json'
    scalars.write_text(scalars.read_text().splitlines()[0] + '\n{"lr": 0.')
    made = report_run(run)
    assert made.figures['RUN']['steps'] == '1'
    said = ' '.join(made.left_out['RUN'])
    for words in ('timeline.json', 'provenance.json', 'there is no checkpoint yet'):
        assert words in said
    assert '<svg' in made.report.read_text()


def test_what_cannot_be_drawn_is_left_out_with_a_sentence(run):
    config = run / 'soco_small.py'
    text = config.read_text()
    config.write_text(text.replace('/photos', '/moved'))
    said = ' '.join(report_run(run).left_out['RUN'])
    assert 'Views are not drawn: the images in' in said
    assert 'Nearest objects are not drawn: fewer than two' in said
    config.write_text(text)
    (run / 'checkpoints/epoch_2.pth').write_bytes(b'PK')  # truncated
    made = report_run(run)
    said = ' '.join(made.left_out['RUN'])
    assert 'is not a checkpoint, or is truncated' in said
    assert 'Views are not drawn' not in said


def test_nothing_that_a_config_names_is_called(run, tmp_path):
    config, marker = run / 'soco_small.py', tmp_path / 'called'
    text = config.read_text()
    for attack in (
        f"train_dataloader = dict(dataset=dict(type='os.system', command='touch "
        f"{marker}'))",
        f"import os\nos.system('touch {marker}')",
        f"model = dict(type='os.system', command='touch {marker}')",
    ):
        config.write_text(f'{text}\n{attack}\n')
        report_run(run)
        assert not marker.exists()


def test_two_runs_are_compared(run, trained, tmp_path, capsys):
    config = run / 'soco_small.py'
    config.write_text(config.read_text() + '\nmark = 12345\n')
    done = call(
        capsys, 'report', trained / 'RUN', run, '--out', tmp_path / 'both/page.html'
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / 'both/page.html').read_text()
    assert 'What differs in the configs' in text and '12345' in text
    assert text.count('class="line c0"') == text.count('class="line c1"') > 3
    names = [
        line.split(':')[0] for line in done.stdout.splitlines() if 'steps 4' in line
    ]
    assert len(set(names)) == 2 and all(name.endswith('/RUN') for name in names)
    assert not (run / 'report.html').exists()


def test_what_is_no_run_is_refused_before_anything_is_written(run, tmp_path, capsys):
    (tmp_path / 'other').mkdir()
    (tmp_path / 'other/notes.json').write_text(json.dumps({}))
    (tmp_path / 'other/mine.html').write_text('<!DOCTYPE html><p>mine</p>')
    for arguments, words in (
        ([tmp_path / 'other'], 'is not the folder of a run'),
        ([tmp_path / 'nowhere'], 'is not the folder of a run'),
        ([run, run, run], 'or two to compare, not 3'),
        ([run, '--out', tmp_path / 'page.txt'], 'Give a .html file'),
        ([run, '--out', tmp_path / 'other/mine.html'], 'exists and is not the report'),
    ):
        code, said = refusal(capsys, 'report', *arguments)
        assert code == 2 and words in said
    with pytest.raises(UsageError):
        report_run([])
    assert [each.name for each in tmp_path.rglob('*.html')] == ['mine.html']
    assert 'mine' in (tmp_path / 'other/mine.html').read_text()
