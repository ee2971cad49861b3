"""A transfer study in miniature, by its real command."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest
from conftest import DEMO, ROOT
from mini_transfer.cells import Cell
from mini_transfer.study import choose, mini_transfer
from mmengine.config import Config

from soco_mm.utils import UsageError

TOOL = ROOT / 'projects/mini_transfer/run.py'
SMALL = (
    '--epochs',
    '1',
    '--iterations',
    '2',
    '--batch-size',
    '2',
    '--scale',
    '96',
    '96',
    '--seeds',
    '1',
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """The demo's photos, arranged as the data of the study."""
    folder = tmp_path_factory.mktemp('data')
    content = json.loads((DEMO / 'instances.json').read_text())
    boxes = dict(
        content,
        annotations=[
            {key: value for key, value in each.items() if key != 'segmentation'}
            for each in content['annotations']
        ],
    )
    for images in ('bccd/images', 'coco128', 'photos'):
        shutil.copytree(DEMO / 'images', folder / images)
    for name in ('bccd/instances_train', 'bccd/instances_test'):
        (folder / f'{name}.json').write_text(json.dumps(boxes))
    for name in ('coco128/instances_train', 'coco128/instances_val'):
        (folder / f'{name}.json').write_text(json.dumps(content))
    return folder


def study(data, out, *options):
    return subprocess.run(
        [sys.executable, TOOL, data, '--out', out, *SMALL, *options],
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_study_is_run_once_and_goes_on_where_it_was(data, tmp_path):
    out = tmp_path / 'a study'
    options = (
        '--data-sets',
        'bccd',
        '--fractions',
        '0.4',
        '--methods',
        'scratch',
        'byol',
        'soco',
    )
    done = study(data, out, *options)
    assert done.returncode == 0, done.stderr
    cells = {
        path.stem: json.loads(path.read_text()) for path in (out / 'cells').iterdir()
    }
    assert set(cells) == {
        f'bccd_40_{method}_0' for method in ('scratch', 'byol', 'soco')
    }
    for name, cell in cells.items():
        assert cell['images'] == 2 and cell['seed'] == 0
        assert 0 <= cell['metrics']['bbox_mAP'] <= 1
        assert (out / cell['log']).stat().st_size > 0
        config = out / 'detectors' / name / 'config.py'
        assert sha256(config) == cell['config_sha256']
        cfg = Config.fromfile(config)
        assert cfg.randomness.seed == 0 and cfg.train_cfg.max_iters == 2
        if cell['method'] == 'scratch':
            assert cell['start_sha256'] is cfg.load_from is None
        else:
            weights = config.parent / cfg.load_from
            assert sha256(weights) == cell['start_sha256']
    assert len({cell['weights_sha256'] for cell in cells.values()}) == 3
    assert '| SoCo |' in (out / 'table.md').read_text()
    assert (out / 'plot.png').stat().st_size > 10_000

    # One cell is lost; a data set with masks is added.
    lost = out / 'cells' / 'bccd_40_soco_0.json'
    before = lost.read_text()
    lost.unlink()
    kept = {
        path: path.stat().st_mtime_ns
        for folder in ('cells', 'starts', 'proposals')
        for path in sorted((out / folder).rglob('*'))
        if path.is_file()
    }
    again = study(
        data,
        out,
        '--data-sets',
        'bccd',
        'coco128',
        '--fractions',
        '0.4',
        '--methods',
        'soco',
    )
    assert again.returncode == 0, again.stderr
    for path, written in kept.items():
        assert path.stat().st_mtime_ns == written, path
    same = ('start_sha256', 'weights_sha256', 'config_sha256', 'metrics')
    first, second = json.loads(before), json.loads(lost.read_text())
    assert {key: first[key] for key in same} == {key: second[key] for key in same}
    masks = json.loads((out / 'cells' / 'coco128_40_soco_0.json').read_text())
    assert 'segm_mAP' in masks['metrics']
    of_classes = [
        value for key, value in masks['metrics'].items() if key.endswith('_precision')
    ]
    # Of masks, where there are masks.
    assert len(of_classes) == 8
    assert sum(of_classes) / 8 == pytest.approx(masks['metrics']['segm_mAP'], abs=1e-3)
    # Earlier cells stay in the table.
    assert '| random weights |' in (out / 'table.md').read_text()

    other = study(data, out, '--iterations', '3')
    assert other.returncode == 2
    assert 'holds a study of other settings (iterations)' in other.stderr
    assert len(other.stderr.strip().splitlines()) == 1
    # More images would be another pretraining.
    photo = data / 'photos/new.jpg'
    shutil.copy(data / 'photos/coffee.jpg', photo)
    other = study(data, out)
    photo.unlink()
    assert other.returncode == 2
    assert 'holds a study of other settings (data)' in other.stderr


@pytest.mark.slow
def test_a_cell_that_fails_is_told_and_the_others_are_reported(data, tmp_path):
    out, bad = tmp_path / 'out', tmp_path / 'data'
    shutil.copytree(data, bad)
    (bad / 'coco128/coffee.jpg').write_bytes(b'no image')
    done = study(bad, out, '--methods', 'scratch', '--fractions', '1', '1')
    assert done.returncode == 1
    assert '1 parts of the study failed' in done.stderr
    assert 'coffee.jpg, which is damaged' in done.stderr
    assert [path.stem for path in (out / 'cells').iterdir()] == ['bccd_100_scratch_0']
    assert '| random weights |' in (out / 'table.md').read_text()


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_cannot_be_run_is_refused_before_anything_is_written(data, tmp_path):
    out = tmp_path / 'out'
    for wrong, message in (
        (dict(fractions=(10,)), r'in \(0, 1\], not 10'),
        (dict(seeds=0), 'seeds is at least 1, not 0'),
        (dict(epochs=0), 'epochs is at least 1, not 0'),
        (dict(scale=(64, 0)), 'scale is at least 1, not 0'),
    ):
        with pytest.raises(UsageError, match=message):
            mini_transfer(data, out, **wrong)
    with pytest.raises(UsageError, match='There is no .*instances_train'):
        mini_transfer(tmp_path, out)
    assert not out.exists()
    with pytest.raises(UsageError, match='files that are not of a study'):
        mini_transfer(data, data)


def test_a_cell_waits_for_its_pretraining_while_others_run():
    cells = [
        Cell('bccd', method, 1.0, seed)
        for seed in (0, 1)
        for method in ('scratch', 'soco')
    ]
    _, soco_0, _, soco_1 = cells
    assert choose(cells, {}) is cells[0]
    running = {('scratch', 0): True, ('soco', 0): None}
    assert choose([soco_0, soco_1], running) is soco_1
    assert choose([soco_0], running) is None
    assert choose([soco_0], {('soco', 0): True}) is soco_0
