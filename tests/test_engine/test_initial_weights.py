"""What a training starts from fits, is said, and is safe to load."""

import pickle

import pytest
import small
import torch
from attack import Attack
from mmengine.model import revert_sync_batchnorm
from mmengine.runner import CheckpointLoader

from soco_mm.apis.export import export_detector, export_weights
from soco_mm.apis.importing import import_released
from soco_mm.apis.pretrain import pretrain
from soco_mm.checkpoint import read_checkpoint, state_dict_of
from soco_mm.checkpoint.model_config import model_of
from soco_mm.detectors.training import check_weights
from soco_mm.engine.config import load_config
from soco_mm.engine.initial_weights import match_initial_weights, safe_loading
from soco_mm.engine.training import train_model
from soco_mm.evaluation import load_backbone
from soco_mm.evaluation.probe_config import read_backbone
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError


def files(folder):
    """One bad file of each kind, by what is said of it."""
    attack = Attack(folder / 'attacked')
    torch.save(dict(state_dict=attack), folder / 'attack.pth')
    (folder / 'plain.pth').write_bytes(pickle.dumps(attack))
    (folder / 'text.pth').write_text('hello\n')
    (folder / 'page.pth').write_text('<!DOCTYPE html>')
    (folder / 'empty.pth').write_bytes(b'')
    torch.save(dict(state_dict={'a': torch.ones(99)}), folder / 'cut.pth')
    data = (folder / 'cut.pth').read_bytes()
    (folder / 'cut.pth').write_bytes(data[:-100])
    return dict(
        attack='could run code',
        plain='could run code',
        text='is not a checkpoint',
        page='is not a checkpoint',
        empty='an empty file',
        cut='truncated',
    )


def load_from(path, model, out):
    match_initial_weights(dict(load_from=str(path)), model)


def pretrained(path, model, out):
    model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    match_initial_weights({}, model)


def while_training(path, model, out):
    with safe_loading():
        CheckpointLoader.load_checkpoint(str(path), 'cpu')


def resume(path, model, out):
    from types import SimpleNamespace

    from soco_mm.engine.training import check_resumable

    check_resumable(SimpleNamespace(model=model), path)


READERS = [
    load_from,
    pretrained,
    while_training,
    resume,
    lambda path, model, out: export_detector(path, out),
    lambda path, model, out: export_weights(path, out, format='timm'),
    lambda path, model, out: import_released(path, out),
    lambda path, model, out: read_backbone(path),
    lambda path, model, out: load_backbone(model.backbone, path),
    lambda path, model, out: check_weights(model, path),
]


@pytest.mark.parametrize('read', READERS)
def test_no_bad_file_runs_and_each_gets_a_sentence(read, small_model, tmp_path):
    for name, message in files(tmp_path).items():
        path = tmp_path / f'{name}.pth'
        with pytest.raises(SoCoError, match=message) as error:
            read(path, small_model, tmp_path / 'out.pth')
        assert str(path) in str(error.value)
        assert '\n' not in str(error.value)
        assert not (tmp_path / 'attacked').exists()
        assert not (tmp_path / 'out.pth').exists()


@pytest.mark.parametrize(
    'call',
    [
        "os.mkdir', path='{}",
        "mmengine.mkdir_or_exist', dir_name='{}",
        "posix.mkdir', path='{}",
    ],
)
def test_config_in_a_checkpoint_runs_nothing(call, tmp_path):
    call = call.format(tmp_path / 'attacked')
    path = tmp_path / 'a.pth'
    for model in (
        f"dict(type='{call}')",
        f"dict(type='SoCo', backbone=dict(type='{call}'))",
    ):
        torch.save(
            dict(
                meta=dict(cfg=f'model = {model}'),
                state_dict={'backbone.conv1.weight': torch.ones(1)},
            ),
            path,
        )
        with pytest.raises(SoCoError, match='is not a component'):
            export_detector(path, tmp_path / 'out')
        assert not (tmp_path / 'attacked').exists()


@pytest.mark.parametrize(
    'model, message',
    [
        (dict(type='FancyNet'), 'FancyNet is not a component'),
        (
            dict(type='SoCo', backbone=dict(type='mmdet.ResNet', xyz=1)),
            'cannot be built',
        ),
        (dict(type='mmdet.ResNet', depth=18), 'the model ResNet'),
    ],
)
def test_checkpoint_of_another_project_gets_a_sentence(model, message, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(
        dict(
            meta=dict(model=model), state_dict={'backbone.conv1.weight': torch.ones(1)}
        ),
        path,
    )
    for export in (
        lambda: export_detector(path, tmp_path / 'out'),
        lambda: export_weights(path, tmp_path / 'out.pth', format='timm'),
    ):
        with pytest.raises(SoCoError, match=message) as error:
            export()
        assert str(path) in str(error.value)
    assert [each.name for each in tmp_path.iterdir()] == ['other.pth']


def test_initialisation_in_a_checkpoint_is_left_out():
    model = dict(
        type='SoCo',
        backbone=dict(
            type='mmdet.ResNet',
            depth=18,
            init_cfg=dict(type='Pretrained', checkpoint='http://x'),
        ),
    )
    found = model_of(dict(meta=dict(model=model)), 'x.pth')
    assert found.backbone == dict(type='mmdet.ResNet', depth=18)


def test_module_is_stripped_wherever_weights_are_read(tmp_path):
    # Of the widths that other libraries have.
    cfg = load_config('soco_r18_fpn_quick', small.BOX_HEAD | small.MLP)
    small_model = revert_sync_batchnorm(MODELS.build(cfg.model))
    state = small_model.state_dict()
    path = tmp_path / 'wrapped.pth'
    meta = dict(model=cfg.model.to_dict())
    wrapped = {f'module.{name}': value for name, value in state.items()}
    torch.save(dict(meta=meta, state_dict=wrapped, optimizer={}), path)
    found = state_dict_of(read_checkpoint(path), path)
    assert list(found) == list(state)
    export_detector(path, tmp_path / 'out')
    export_weights(path, tmp_path / 'out.pth', format='timm')
    load_backbone(small_model.backbone, path)
    resume(path, small_model, None)
    (notes,) = match_initial_weights(dict(load_from=path), small_model)
    assert f'{len(state)} of {len(state)} tensors' in notes
    # MMEngine strips nothing where there is a prefix.
    small_model.backbone.init_cfg = dict(
        type='Pretrained', checkpoint=str(path), prefix='backbone'
    )
    saved = torch.load(path)['state_dict']['module.backbone.conv1.weight']
    with torch.no_grad():
        small_model.backbone.conv1.weight.zero_()
    small_model.backbone._is_init = False
    with safe_loading():
        small_model.backbone.init_weights()
    assert torch.equal(small_model.backbone.conv1.weight, saved)


def test_weights_that_do_not_fit_at_all_are_refused(small_model, tmp_path):
    path = tmp_path / 'x.pth'
    for state, message in (
        ({'fc.weight': torch.ones(1)}, 'none of the 1 tensors.*fc.weight'),
        ({'conv1.weight': torch.ones(1)}, 'set model.backbone.init_cfg'),
        ({'backbone.conv1.weight': torch.ones(1)}, r'the shape \[1\] there'),
    ):
        torch.save(state, path)
        with pytest.raises(SoCoError, match=f'load_from: .*{message}'):
            match_initial_weights(dict(load_from=str(path)), small_model)
    torch.save({'backbone.conv1.weight': small_model.backbone.conv1.weight.data}, path)
    small_model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(path))
    with pytest.raises(SoCoError, match='model.backbone.init_cfg: .*prefix='):
        match_initial_weights({}, small_model)
    assert CheckpointLoader._schemes[''].__name__ == 'load_from_local'


def test_what_fits_is_counted_part_by_part(small_model, tmp_path):
    path = tmp_path / 'x.pth'
    state = small_model.state_dict()
    backbone = {n: v for n, v in state.items() if n.startswith('backbone.')}
    torch.save(dict(state_dict=backbone), path)
    (note,) = match_initial_weights(dict(load_from=str(path)), small_model)
    assert f'load_from: {len(backbone)} of {len(state)} tensors' in note
    rows = {line.split()[0]: line for line in note.splitlines()[1:]}
    number = len(backbone)
    assert f'{number}/{number}' in rows['backbone']
    assert ' 0/' in rows['neck']


def test_a_training_refuses_them_before_it_begins(store, demo_images, tmp_path):
    path = tmp_path / 'x.pth'
    torch.save({'fc.weight': torch.ones(1)}, path)
    cfg = load_config(
        small.SOCO,
        {
            'load_from': str(path),
            'train_dataloader.dataset.data_root': str(demo_images),
            'train_dataloader.dataset.proposals': str(store),
            'train_dataloader.batch_size': 2,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
        },
    )
    with pytest.raises(SoCoError, match='load_from: none of the 1 tensors'):
        train_model(cfg, tmp_path / 'run')
    assert not list(tmp_path.glob('run/checkpoints/*'))


def test_pretrain_refuses_them_before_anything_is_written(demo_images, tmp_path):
    path = tmp_path / 'x.pth'
    torch.save({'fc.weight': torch.ones(1)}, path)
    with pytest.raises(SoCoError, match='load_from: none of the 1 tensors'):
        pretrain(
            demo_images,
            tmp_path / 'run',
            config=small.SOCO,
            options={'load_from': str(path)},
            workers=0,
        )
    assert not (tmp_path / 'run').exists()


def test_load_from_must_fill_what_stays_as_it_is(small_model, tmp_path):
    path = tmp_path / 'weights.pth'
    state = small_model.state_dict()
    backbone = {k: v for k, v in state.items() if k.startswith('backbone.')}
    cfg = dict(load_from=str(path), model=dict(frozen_parts=('backbone',)))
    torch.save(backbone, path)
    match_initial_weights(cfg, small_model)
    del backbone['backbone.layer4.1.conv2.weight']
    torch.save(backbone, path)
    with pytest.raises(SoCoError, match=r'does not fill the backbone, .*conv2\.weight'):
        match_initial_weights(cfg, small_model)
