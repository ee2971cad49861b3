"""What each option of a command changes, up to where the long work begins."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import cv2
import numpy as np
import pytest
import small
import torch
from commands import refusal

from soco_mm.cli import main
from soco_mm.engine.config import load_config
from soco_mm.proposals import ProposalStore
from soco_mm.registry import MODELS


class Begun(Exception):
    """Raised with what the long work would be done with."""


@pytest.fixture
def begin(monkeypatch):
    """Run a command up to a function of a module; returns its arguments."""

    def run(module, name, *arguments):
        def stop(*args, **kwargs):
            raise Begun(args, kwargs)

        monkeypatch.setattr(import_module(module), name, stop)
        with pytest.raises(Begun) as begun:
            main(list(map(str, arguments)))
        return begun.value.args

    return run


@pytest.fixture(scope='session')
def photos(tmp_path_factory, pytestconfig):
    """Two photos of 120 pixels, of which one has 16 bits."""
    folder = tmp_path_factory.mktemp('photos')
    for name in ('chelsea.jpg', 'coffee.jpg'):
        photo = cv2.imread(str(pytestconfig.rootpath / 'demo/images' / name))
        cv2.imwrite(str(folder / name), cv2.resize(photo, (120, 90)))
    grey = cv2.imread(str(folder / 'coffee.jpg'), cv2.IMREAD_GRAYSCALE)
    small_grey = cv2.resize(grey, (80, 60)).astype(np.uint16)
    cv2.imwrite(str(folder / 'deep.png'), small_grey * 64)
    return folder


MAKE = {
    '--preset': ['released'],
    '--method': ['whole'],
    '--scale': ['50'],
    '--sigma': ['0.3'],
    '--min-size': ['200'],
    '--max-side': ['60'],
    '--color-space': ['rgb'],
    '--similarities': ['color'],
    '--max-aspect': ['1.3'],
    '--size-range': ['0.5', '0.6'],
    '--min-side': ['50'],
    '--max-boxes': ['2'],
    '--max-pixels': ['5000'],
    '--stretch': ['1', '99'],
    '--shard': ['2/3'],
}


def make(photos, out, *arguments):
    """Boxes of each image by path, as ``soco-mm proposals`` makes them."""
    main(['proposals', str(photos), '--out', str(out), '--workers', '1', *arguments])
    store = ProposalStore.open(out)
    return {path: store[path].tolist() for path in store}


@pytest.fixture(scope='module')
def usual(photos, tmp_path_factory):
    """Those that are made without options."""
    return make(photos, tmp_path_factory.mktemp('usual') / 'store')


@pytest.mark.parametrize('option', MAKE)
def test_an_option_of_proposals_changes_boxes_or_images(
    photos, usual, tmp_path, option
):
    assert make(photos, tmp_path / 'store', option, *MAKE[option]) != usual


def annotate(path):
    """One object of a tenth of an image's side."""
    image = dict(id=1, file_name='coffee.jpg', width=120, height=90)
    box = dict(image_id=1, category_id=1, bbox=[20, 20, 12, 9])
    category = dict(id=1, name='one')
    content = dict(images=[image], annotations=[box], categories=[category])
    path.write_text(json.dumps(content))
    return str(path)


def test_an_annotated_object_changes_which_boxes_are_kept(photos, usual, tmp_path):
    annotations = annotate(tmp_path / 'ann.json')
    boxes = make(photos, tmp_path / 'store', '--ann', annotations)
    assert boxes != usual
    found = np.array(boxes['coffee.jpg'])
    side = np.sqrt((found[:, 2:] - found[:, :2]).prod(1) / 120 / 90)
    assert (side < 0.3).all()


def test_an_automatic_size_range_is_that_of_the_annotated_objects(
    photos, tmp_path, capsys
):
    annotations = ['--ann', annotate(tmp_path / 'ann.json')]
    fitted = make(photos, tmp_path / 'a', *annotations)
    assert make(photos, tmp_path / 'b', '--size-range', 'auto', *annotations) == fitted
    for given, words in (
        (['auto'], 'needs a few annotated objects'),
        (['auto', '0.3'], 'takes two numbers or auto'),
        (['0.3'], 'takes two numbers or auto'),
        (['a', 'b'], "must be a number, but is 'a'"),
    ):
        with pytest.raises(SystemExit) as exit:
            make(photos, tmp_path / 'c', '--size-range', *given)
        assert exit.value.code == 2 and words in capsys.readouterr().err
    assert not (tmp_path / 'c').exists()


def test_the_seed_of_proposals_chooses_other_boxes(photos, tmp_path):
    first, again, other = (
        make(photos, tmp_path / f'{i}', '--max-boxes', '2', '--seed', seed)
        for i, seed in enumerate('004')
    )
    assert first == again != other


def test_the_time_limit_of_proposals_is_kept_with_them(photos, tmp_path):
    make(photos, tmp_path / 'store', '--timeout', '7')
    assert ProposalStore.open(tmp_path / 'store').header['timeout'] == 7


def test_merged_proposals_are_replaced_on_request(photos, usual, tmp_path, capsys):
    parts = [str(tmp_path / part) for part in '12']
    for number, part in enumerate(parts, 1):
        make(photos, part, '--shard', f'{number}/2')
    make(photos, tmp_path / 'store', '--method', 'whole')
    command = ['proposals', 'merge', *parts, '--out', str(tmp_path / 'store')]
    with pytest.raises(SystemExit):
        main(command)
    assert '--overwrite' in capsys.readouterr().err
    main([*command, '--overwrite'])
    merged = ProposalStore.open(tmp_path / 'store')
    assert {path: merged[path].tolist() for path in merged} == usual


def test_paths_in_a_file_are_relative_to_root(photos, tmp_path, capsys):
    (tmp_path / 'list.txt').write_text('coffee.jpg\nchelsea.jpg\n')
    with pytest.raises(SystemExit):
        make(tmp_path / 'list.txt', tmp_path / 'store')
    boxes = make(tmp_path / 'list.txt', tmp_path / 'store', '--root', str(photos))
    assert set(boxes) == {'chelsea.jpg', 'coffee.jpg'}


PRETRAIN = {
    '--config': [small.SOCO],
    '--epochs': [7],
    '--batch-size': [2],
    '--accumulate': [2],
    '--checkpoint-every': ['30s'],
    '--auto-scale': [],
    '--precision': ['bf16'],
    '--preset': ['released'],
    '--stretch': [1, 99],
    '--detector': ['mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', '--adapt'],
    '--cfg-options': ['train_dataloader.dataset.pipeline.2.num_proposals=8'],
}
# With a detector.
OF_A_DETECTOR = ['--adapt', '--backbone-only']


def test_an_option_of_pretrain_changes_the_run(photos, tmp_path, begin, monkeypatch):
    # The training is built from what it is asked for, but not tried.
    for module, name in (
        ('soco_mm.engine.pretraining', 'try_pretraining'),
        ('soco_mm.apis.pretrain', 'try_fit'),
    ):
        monkeypatch.setattr(import_module(module), name, lambda *args: None)

    def job(*arguments, until='claim_run'):
        command = ['pretrain', photos, '--out', tmp_path / 'RUN', *arguments]
        args, kwargs = begin('soco_mm.apis.pretrain', until, *command)
        return args, kwargs

    usual = job()
    assert job() == usual
    for option, values in PRETRAIN.items():
        assert job(option, *values) != usual, option
    with_detector = job('--config', small.SOCO, '--detector', small.MASK_RCNN)
    for option in OF_A_DETECTOR:
        own = job('--config', small.SOCO, '--detector', small.MASK_RCNN, option)
        assert own != with_detector, option
    torch.save({'conv1.weight': torch.ones(16, 3, 7, 7)}, tmp_path / 'w.pth')
    start = ('--config', small.SOCO, '--init', tmp_path / 'w.pth')
    with_init = job(*start)
    assert with_init != job(*start[:2])
    for values in (['--init-partial'], ['--init-licence', 'MIT']):
        assert job(*start, *values) != with_init


def test_options_go_before_what_a_resumed_run_was_started_with(
    photos, tmp_path, begin, capsys
):
    command = ['pretrain', photos, '--out', tmp_path / 'RUN', '--config', small.SOCO]
    command += ['--epochs', 5, '--batch-size', 3, '--precision', 'float32']
    begin('soco_mm.apis.pretrain', 'draw_preview', *command)
    command = ['pretrain', '--out', tmp_path / 'RUN', '--resume', '--cfg-options']
    command += ['train_dataloader.batch_size=2', 'train_cfg.max_epochs=7']
    (cfg, *_), _ = begin('soco_mm.apis.pretrain', 'draw_preview', *command)
    assert cfg.train_dataloader.batch_size == 2 and cfg.train_cfg.max_epochs == 7
    # Of several keys that an argument sets, one alone cannot be replaced.
    code, said = refusal(capsys, *command[:-2], 'optim_wrapper.loss_scale=8.0')
    assert code == 2 and 'started with --precision, which sets' in said
    # And so they stay.
    (cfg, *_), _ = begin('soco_mm.apis.pretrain', 'draw_preview', *command[:-3])
    assert cfg.train_dataloader.batch_size == 2 and cfg.train_cfg.max_epochs == 7


def test_a_run_that_ended_while_it_was_measured_is_measured(
    photos, tmp_path, begin, monkeypatch
):
    run = tmp_path / 'RUN'
    start = ['pretrain', photos, '--out', run, '--config', small.SOCO, '--epochs', 5]
    begin('soco_mm.apis.pretrain', 'draw_preview', *start)
    monkeypatch.undo()  # what begin replaced
    (run / 'checkpoints').mkdir()
    (run / 'checkpoints/epoch_5.pth').touch()
    resume = ['pretrain', '--out', run, '--resume']
    (run / 'retrieval.json').write_text('{"before": {}, "after": {}}')
    begin('soco_mm.apis.pretrain', 'export_detector', *resume)
    (run / 'retrieval.json').write_text('{"before": {}}')
    begin('soco_mm.apis.pretrain', 'train_model', *resume)


def test_a_run_that_counts_in_steps_is_resumed_with_steps_of_as_many_images(
    photos, tmp_path, begin, capsys
):
    recipe = tmp_path / 'recipe.py'
    recipe.write_text(
        f"_base_ = '{small.SOCO}'\n"
        "train_cfg = dict(_delete_=True, type='StepTrainLoop', max_steps=8)\n"
    )
    run = tmp_path / 'RUN'
    start = ['pretrain', photos, '--out', run, '--config', recipe]
    begin('soco_mm.apis.pretrain', 'train_model', *start, '--batch-size', 2)
    (run / 'checkpoints').mkdir()
    (run / 'checkpoints/iter_1.pth').touch()
    job = (run / 'job.json').read_bytes()
    resume = ['pretrain', '--out', run, '--resume', '--batch-size', 3]
    code, said = refusal(capsys, *resume)
    assert code == 2 and 'with 2 images per step' in said and '--accumulate' in said
    assert (run / 'job.json').read_bytes() == job
    # So are fewer and larger ones, if they are asked for.
    resume += ['--cfg-options', 'train_cfg.max_steps=6']
    begin('soco_mm.apis.pretrain', 'train_model', *resume)


def test_workers_of_pretrain_make_proposals_and_load_images(photos, tmp_path, begin):
    command = ['pretrain', photos, '--out', tmp_path / 'RUN', '--config', small.SOCO]
    command += ['--workers', 3]
    _, kwargs = begin('soco_mm.engine.pretraining', 'make_proposals', *command)
    assert kwargs['num_workers'] == 3
    main(['proposals', str(photos), '--out', str(tmp_path / 'store')])
    command += ['--resume', '--proposals', tmp_path / 'store']
    shutil.rmtree(tmp_path / 'RUN')
    (cfg, *_), _ = begin('soco_mm.apis.pretrain', 'draw_preview', *command)
    assert cfg.train_dataloader.num_workers == 3


def test_pretrain_fits_its_proposals_to_annotations(photos, tmp_path, begin):
    command = ['pretrain', photos, '--out', tmp_path / 'RUN', '--config', small.SOCO]
    command += ['--ann', annotate(tmp_path / 'ann.json')]
    _, kwargs = begin('soco_mm.engine.pretraining', 'make_proposals', *command)
    low, high = kwargs['settings']['filter']['size_range']
    assert low < 0.1 < high < 0.3
    job = json.loads((tmp_path / 'RUN/job.json').read_text())
    assert job['ann'] == str(tmp_path / 'ann.json')


FINETUNE = {
    '--epochs': [3],
    '--batch-size': [2],
    '--scale': [32, 32],
    '--workers': [1],
    '--seed': [5],
    '--classes': ['two'],
    '--scratch': [],
    '--val-images': ['copies'],
    '--cfg-options': ['optim_wrapper.optimizer.weight_decay=1e-4'],
}
# In the place of train.json, images and val.json.
DATA = {'--data': 'other.json', '--images': 'copies', '--val': 'other.json'}


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A narrow Mask R-CNN that starts from a narrow SoCo."""
    folder = tmp_path_factory.mktemp('pretrained')
    cfg = load_config(small.SOCO)
    torch.manual_seed(0)
    state = MODELS.build(cfg.model).state_dict()
    torch.save(
        dict(meta=dict(cfg=cfg.pretty_text), state_dict=state), folder / 'epoch_1.pth'
    )
    main(
        [
            *('export', str(folder / 'epoch_1.pth'), '--out', str(folder / 'exported')),
            *('--detector', str(small.MASK_RCNN)),
        ]
    )
    return folder / 'exported'


@pytest.fixture(scope='module')
def labelled(tmp_path_factory):
    """A folder with four images, a copy of it, and annotations of two classes."""
    folder = tmp_path_factory.mktemp('labelled')
    content = dict(
        images=[],
        annotations=[],
        categories=[dict(id=1, name='one'), dict(id=2, name='two')],
    )
    random = np.random.default_rng(0)
    for number in range(1, 5):
        image = random.integers(0, 255, (90, 120, 3), np.uint8)
        for place in ('images', 'copies'):
            (folder / place).mkdir(exist_ok=True)
            cv2.imwrite(str(folder / f'{place}/{number}.png'), image)
        content['images'].append(dict(id=number, file_name=f'{number}.png'))
        for label in (1, 2):
            box = [10 * label, 5, 60, 70]
            content['annotations'].append(
                dict(image_id=number, category_id=label, bbox=box)
            )
    for name in ('train', 'val', 'other'):
        if name == 'other':
            del content['annotations'][1:]
        (folder / f'{name}.json').write_text(json.dumps(content))
    return folder


def test_an_option_of_finetune_changes_the_training(
    exported, labelled, tmp_path, begin, monkeypatch
):
    monkeypatch.chdir(labelled)

    def job(*arguments, **data):
        usual_data = dict(zip(DATA, ('train.json', 'images', 'val.json')))
        command = ['finetune', exported, '--out', tmp_path / 'RUN', *arguments]
        for option, value in {**usual_data, **data}.items():
            command += [option, value]
        (cfg, train, val), _ = begin(
            'soco_mm.detectors.finetuning', 'try_finetuning', *command
        )
        return cfg.to_dict(), train, val

    usual = job()
    assert job() == usual
    for option, values in FINETUNE.items():
        assert job(option, *values) != usual, option
    for option, value in DATA.items():
        assert job(**{option: value}) != usual, option


PROBE = {
    '--batch-size': [8],
    '--workers': [1],
    '--k': [3],
    '--out': ['out'],
    '--images': ['images'],
    '--val-images': ['copies'],
}
LINEAR = {'--epochs': [10], '--lr': [3], '--out': ['out']}


def test_an_option_of_probe_changes_what_is_evaluated(exported, begin):
    probes = 'soco_mm.apis.probe'
    weights = exported / 'soco_weights.pth'

    def job(*arguments, probe='knn_probe', train='train', val='val'):
        command = ['probe', weights, '--train', train, '--val', val]
        args, kwargs = begin(probes, probe, *command, *arguments)
        return args[0].to_dict(), args[1:], kwargs

    usual = job()
    assert job() == usual
    for option, values in PROBE.items():
        assert job(option, *values) != usual, option
    assert job(train='other') != usual != job(val='other')
    usual = job('--method', 'linear', probe='linear_probe')
    for option, values in LINEAR.items():
        linear = job('--method', 'linear', option, *values, probe='linear_probe')
        assert linear != usual, option


BROWSE = {
    '--out': ['out'],
    '--num-images': [2],
    '--start': [1],
    '--epoch': [3],
    '--cfg-options': ['train_dataloader.dataset.pipeline.2.num_proposals=8'],
}


def test_an_option_of_browse_changes_what_is_drawn(photos, tmp_path, monkeypatch):
    """Its own pipeline is run; a picture shows what is drawn."""
    monkeypatch.chdir(tmp_path)
    main(['proposals', str(photos), '--out', 'store'])
    cfg = load_config(small.SOCO)
    cfg.train_dataloader.dataset.update(data_root=str(photos), proposals='store')
    for view in cfg.train_dataloader.dataset.pipeline[1].views:
        view.size = 32
    cfg.dump('config.py')

    def drawn(*arguments):
        shutil.rmtree('work_dirs', ignore_errors=True)
        main(['browse', 'config.py', *map(str, arguments)])
        return {str(path): path.read_bytes() for path in sorted(Path().rglob('0*.png'))}

    usual = drawn()
    assert drawn() == usual and len(usual) == 3
    for option, values in BROWSE.items():
        assert drawn(option, *values) != usual, option
        shutil.rmtree('out', ignore_errors=True)


PLAN = {
    '--batch-size': [2],
    '--gpus': [4],
    '--memory': [24],
    '--images': [100],
    '--detector': ['mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'],
    '--cfg-options': ['optim_wrapper.type=OptimWrapper'],
}


def test_an_option_of_plan_changes_what_is_planned(begin):
    def job(*arguments):
        (cfg, *numbers), _ = begin('soco_mm.apis.plan', 'make_plan', 'plan', *arguments)
        return cfg.to_dict(), numbers

    usual = job()
    assert job() == usual == job('soco_r50_fpn_100e')
    for option, values in PLAN.items():
        assert job(option, *values) != usual, option
