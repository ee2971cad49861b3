"""The door to MMClassification, MMSelfSup and MMPretrain."""

from pathlib import Path

import beside
import pytest
import small
import torch
from conftest import ROOT

from soco_mm import openmmlab
from soco_mm.engine.config import load_config
from soco_mm.engine.training import train_model
from soco_mm.models import NonLinearNeck
from soco_mm.openmmlab import installed_type, resolve
from soco_mm.utils import SoCoError

THIRD = ('mmcls', 'mmselfsup', 'mmpretrain')
# A step of a small SoCo where the modules that are named cannot be imported.
STEP = """
import sys
for name in sys.argv[1:]:
    sys.modules[name] = None
import torch
import soco_mm, soco_mm.cli, soco_mm.apis, soco_mm.evaluation
from mmengine.model import revert_sync_batchnorm
from soco_mm.engine.config import load_config
from soco_mm.registry import MODELS
cfg = load_config('tests/recipes/soco_small.py')
model = revert_sync_batchnorm(MODELS.build(cfg.model))
model.init_weights()
views = [torch.randn(2, 3, s, s) for s in (64, 64, 64)]
box = torch.tensor([[4., 4, 60, 60], [8, 8, 40, 40]]).expand(2, 2, 4)
valid = torch.ones(2, 2, dtype=torch.bool)
loss = model.loss(views, [box] * 3, [valid] * 3)['loss']
loss.backward()
print('\\nloss', round(loss.item(), 4))
"""
# A training of :mod:`small` where others are imported; all of them import
# torchvision, which may be built for CUDA.
TRAINING = """
import sys
import import_beside
import mmpretrain.models, timm
import lightly.loss, lightly.models.modules
import ultralytics.nn.tasks
import small
from soco_mm.engine.config import load_config
from soco_mm.engine.training import train_model
store, images, folder = sys.argv[1:]
cfg = small.training(store, images, {'train_cfg.max_epochs': 1})
train_model(cfg, folder)
"""


def test_a_model_needs_no_third_openmmlab_package():
    done = beside.run(STEP, *THIRD, libraries=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith('loss ')


@pytest.mark.slow
@beside.needs('mmpretrain')
@beside.needs('lightly')
@beside.needs('ultralytics')
def test_a_training_beside_other_libraries_is_the_same_bit_for_bit(
    store, demo_images, tmp_path
):
    # Ultralytics replaces torch.save and takes OpenCV's threads away.
    done = beside.run(TRAINING, store, demo_images, tmp_path / 'beside')
    assert done.returncode == 0, done.stderr
    cfg = small.training(store, demo_images, {'train_cfg.max_epochs': 1})
    alone = train_model(cfg, tmp_path / 'alone')
    theirs = tmp_path / 'beside' / Path(alone).relative_to(tmp_path / 'alone')
    alone, theirs = (torch.load(each)['state_dict'] for each in (alone, theirs))
    assert alone.keys() == theirs.keys()
    assert all(torch.equal(alone[name], theirs[name]) for name in alone)


def test_components_are_taken_from_the_package_that_is_installed(monkeypatch):
    def installed(*names):
        monkeypatch.setattr(openmmlab, 'find_spec', lambda name: name in names or None)

    installed('mmcls', 'mmselfsup')
    assert installed_type('mmcls.PackClsInputs') == 'mmcls.PackClsInputs'
    assert installed_type('mmselfsup.BYOL') == 'mmselfsup.BYOL'
    assert installed_type('mmpretrain.ConvNeXt') == 'mmcls.ConvNeXt'
    assert installed_type('mmpretrain.PackInputs') == 'mmcls.PackClsInputs'
    installed('mmpretrain')
    cfg = dict(
        model=dict(type='mmselfsup.BYOL', neck=dict(type='mmdet.FPN')),
        pipeline=[dict(type='RandomFlip'), dict(type='mmcls.PackClsInputs')],
    )
    resolve(cfg)
    assert cfg == dict(
        model=dict(type='mmpretrain.BYOL', neck=dict(type='mmdet.FPN')),
        pipeline=[dict(type='RandomFlip'), dict(type='mmpretrain.PackInputs')],
    )
    with pytest.raises(SoCoError, match='may compute .* Name mmpretrain.SwAV'):
        installed_type('mmselfsup.SwAV')
    installed()
    with pytest.raises(SoCoError, match='needs mmcls or mmpretrain.*pip install'):
        resolve(dict(head=dict(type='mmcls.LinearClsHead')))


def test_the_configs_of_baselines_name_nothing_that_only_mmselfsup_has(monkeypatch):
    monkeypatch.setattr(
        openmmlab, 'find_spec', lambda name: name == 'mmpretrain' or None
    )
    for path in (ROOT / 'configs/benchmarks/baselines').glob('*.py'):
        cfg = load_config(path)
        assert cfg.model.type.startswith('mmpretrain.')
        assert 'mmselfsup.' not in cfg.pretty_text


@pytest.mark.parametrize('there, share', [('mmselfsup', 0.9), ('mmpretrain', 0.1)])
def test_the_momentum_of_a_baseline_means_the_same(there, share, monkeypatch):
    # MMSelfSup names what a step keeps of the target network, MMPretrain what it
    # replaces; the options of a command are in the words of its config.
    monkeypatch.setattr(openmmlab, 'find_spec', lambda name: name == there or None)
    path = ROOT / 'projects/transfer_study/configs/byol.py'
    cfg = load_config(path, {'model.base_momentum': 0.9}).model
    assert (cfg.type, cfg.base_momentum) == (f'{there}.BYOL', share)
    resolve(cfg)  # once is enough
    assert cfg.base_momentum == share
    for kind, value in (('mmselfsup', 0.9), ('mmpretrain', 0.1)):
        cfg = dict(type=f'{kind}.MoCo', momentum=value)
        resolve(cfg)
        assert cfg == dict(type=f'{there}.MoCo', momentum=share)
    cfg = dict(type='mmselfsup.DenseCL', momentum=1)  # a target that stays
    resolve(cfg)
    assert cfg['momentum'] == (1 if there == 'mmselfsup' else 0)


@pytest.mark.parametrize(
    'last', [dict(), dict(with_last_bn=False, with_last_bias=True)]
)
def test_the_projector_is_mmselfsups_bit_for_bit(last):
    theirs = pytest.importorskip('mmselfsup.models').NonLinearNeck
    args = dict(
        in_channels=8,
        hid_channels=16,
        out_channels=4,
        num_layers=3,
        with_bias=True,
        with_avg_pool=False,
        norm_cfg=dict(type='BN1d'),
        **last,
    )
    necks = []
    for neck in (theirs, NonLinearNeck):
        torch.manual_seed(0)
        necks.append(neck(**args))
        necks[-1].init_weights()
    expected, ours = necks
    assert expected.state_dict().keys() == ours.state_dict().keys()
    x = torch.randn(6, 8)
    a, b = expected([x])[0], ours([x])[0]
    a.sum().backward(), b.sum().backward()
    assert torch.equal(a, b)
    for p, q in zip(expected.parameters(), ours.parameters()):
        assert torch.equal(p, q) and torch.equal(p.grad, q.grad)


def test_mmselfsup_builds_this_plugins_algorithm():
    registry = pytest.importorskip('mmselfsup.registry')
    from soco_mm.models import SoCo

    cfg = load_config(ROOT / 'tests/recipes/soco_small.py').model
    cfg.type = 'soco_mm.SoCo'
    assert isinstance(registry.MODELS.build(cfg), SoCo)
