"""Files that would run code when they are loaded, given to each command."""

import pickle
import shlex
import shutil

import numpy as np
import pytest
import small
import torch
from attack import Attack
from commands import call

from soco_mm.apis.export import export_detector
from soco_mm.engine.config import load_config
from soco_mm.registry import MODELS


def as_pickle(content, path):
    """As detectron2 writes its model zoo."""
    path.write_bytes(pickle.dumps(content))


def as_before_zip_files(content, path):
    torch.save(content, path, _use_new_zipfile_serialization=False)


# Name of a file -> where in it the attack is, and what writes it.
KINDS = {
    'zip.pth': (lambda attack: dict(state_dict=attack), torch.save),
    'zoo.pkl': (lambda attack: dict(model={'x': np.ones(1), 'y': attack}), as_pickle),
    'meta.pth': (
        lambda attack: dict(state_dict={'x': torch.ones(1)}, meta=attack),
        torch.save,
    ),
    'legacy.pth': (lambda attack: dict(model=attack), as_before_zip_files),
    'model.pt': (lambda attack: attack, torch.save),
    'array.pkl': (
        lambda attack: dict(model={'x': np.array([attack], dtype=object)}),
        as_pickle,
    ),
}
LABELS = '--images {photos} --out {out} --workers 0'
TRAIN = '--train {labels} --val {labels}'
DATA = (
    '--cfg-options train_dataloader.dataset.data_root={photos} '
    'train_dataloader.dataset.proposals={store} train_dataloader.batch_size=2 '
    'train_dataloader.num_workers=0 train_dataloader.persistent_workers=False'
)
PRETRAIN = 'soco-mm pretrain {photos} --out {out} --proposals {store} --workers 0'
FINETUNE = f'--data {{labels}} --val {{labels}} {LABELS}'
# They take all kinds of files in a second.
QUICK = [
    'soco-mm import {file} --out {out}',
    'soco-mm replay {file}',
    'soco-mm export {file} --out {out}',
    'soco-mm export {file} --out {out}.pth --format timm',
    f'soco-mm probe {{file}} {TRAIN} {LABELS}',
    f'soco-mm probe {{file}} --method linear {TRAIN} {LABELS}',
    'soco-mm proposals {photos} --out {out} --method rpn --checkpoint {file}',
    f'{PRETRAIN} --init {{file}}',
    f'tools/train.py {{config_init_weights}} --work-dir {{out}} {DATA}',
]
# They build a model before.
OTHERS = [
    f'{PRETRAIN} --config {{small}} --cfg-options load_from={{file}}',
    f'tools/train.py {{config_load_from}} --work-dir {{out}} {DATA}',
    f'tools/train.py {{config_init_cfg}} --work-dir {{out}} {DATA}',
    f'tools/train.py {{small}} --work-dir {{out}} --resume {{file}} {DATA}',
    f'tools/train.py {{small}} --work-dir {{stopped}} --resume {DATA}',
    'tools/benchmarks/linear_probe.py '
    'configs/benchmarks/linear_probe/resnet50_linear-100e_imagenet.py {file} '
    '--work-dir {out} --train {classes} --val {classes}',
    f'soco-mm finetune {{attacked}} {FINETUNE}',
    f'soco-mm finetune {{exported}} {FINETUNE} --cfg-options load_from={{file}}',
]


@pytest.fixture
def attacks(tmp_path):
    """One file of each kind."""
    (tmp_path / 'attacks').mkdir()
    for name, (content, write) in KINDS.items():
        write(content(Attack(tmp_path / 'marker')), tmp_path / 'attacks' / name)
    return {name: tmp_path / 'attacks' / name for name in KINDS}


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
    """A checkpoint of a run, and its export."""
    folder = tmp_path_factory.mktemp('run')
    cfg = load_config(small.SOCO)
    torch.save(
        dict(
            meta=dict(cfg=cfg.pretty_text),
            state_dict=MODELS.build(cfg.model).state_dict(),
        ),
        folder / 'epoch_1.pth',
    )
    export_detector(
        folder / 'epoch_1.pth', folder / 'exported', detector=small.MASK_RCNN
    )
    return folder / 'exported'


@pytest.fixture
def give(exported, store, demo_images, tmp_path, capsys):
    """Give a file to a command; returns exit code and what it says."""

    def run(command, path):
        out = tmp_path / f'out_{path.stem}'
        place = dict(file=path, out=out, exported=exported, photos=demo_images)
        place.update(store=store, labels=demo_images.parent / 'instances.json')
        place.update(small=small.SOCO, stopped=out, attacked=tmp_path / 'attacked')
        if '{stopped}' in command:  # a run whose last checkpoint is the file
            (out / 'checkpoints').mkdir(parents=True)
            shutil.copy(path, out / 'checkpoints/epoch_1.pth')
        if '{attacked}' in command:  # an export whose weights are the file
            shutil.copytree(exported, place['attacked'], dirs_exist_ok=True)
            shutil.copy(path, place['attacked'] / 'soco_weights.pth')
        if '{classes}' in command:
            place['classes'] = tmp_path / 'classes'
            for name in ('coins', 'coffee'):
                folder = place['classes'] / name
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copy(demo_images / f'{name}.jpg', folder)
        pretrained = f"dict(type='Pretrained', checkpoint='{path}')"
        for key, base, text in (
            ('config_load_from', small.SOCO, f"load_from = '{path}'"),
            (
                'config_init_cfg',
                small.SOCO,
                f'model = dict(backbone=dict(init_cfg={pretrained}))',
            ),
            (
                'config_init_weights',
                small.SOCO,
                f"init_weights = dict(_delete_=True, checkpoint='{path}')",
            ),
            (
                'detector',
                small.MASK_RCNN,
                f"load_from = '{path}'\nmodel = dict(neck=dict(init_cfg={pretrained}))",
            ),
        ):
            if f'{{{key}}}' in command:
                place[key] = tmp_path / f'{key}.py'
                place[key].write_text(f"_base_ = '{base}'\n{text}\n")
        program, *arguments = [each.format(**place) for each in shlex.split(command)]
        tool = None if program == 'soco-mm' else program
        done = call(capsys, *arguments, tool=tool)
        return done.returncode, done.stderr

    return run


def test_the_files_run_code_where_they_are_trusted(attacks, monkeypatch, tmp_path):
    """Else the other tests would prove nothing."""
    monkeypatch.delenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD')
    for path in attacks.values():
        if path.suffix == '.pkl':
            pickle.loads(path.read_bytes())
        else:
            torch.load(path, weights_only=False)
        (tmp_path / 'marker').rmdir()


@pytest.mark.parametrize(
    'command, kinds',
    [(each, KINDS) for each in QUICK]
    + [(each, ('zip.pth', 'zoo.pkl')) for each in OTHERS],
)
def test_a_command_refuses_them_in_a_sentence(command, kinds, attacks, give, tmp_path):
    for kind in kinds:
        code, said = give(command, attacks[kind])
        assert code in (1, 2)
        assert said.startswith('ERROR: ') and said.count('\n') == 1
        assert 'could run code' in said, kind
        assert not (tmp_path / 'marker').exists(), kind


def test_what_a_detectors_config_starts_from_is_not_read(
    exported, attacks, give, tmp_path
):
    checkpoint = exported.parent / 'epoch_1.pth'
    command = f'soco-mm export {checkpoint} --out {{out}} --detector {{detector}}'
    code, said = give(command, attacks['zip.pth'])
    assert (code, said) == (0, ''), said
    assert not (tmp_path / 'marker').exists()
