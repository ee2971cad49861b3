"""The configs of MMSelfSup's image-level baselines."""

import pytest
from conftest import ROOT
from mmengine.config import Config

from soco_mm.engine.config import load_config
from soco_mm.openmmlab import installed_type
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError

FOLDER = ROOT / 'configs/benchmarks/baselines'
NAMES = ('byol', 'simsiam', 'mocov2', 'densecl')
BOXES = ('ConstructViews', 'SelectProposals', 'BoxJitter')


def read(name):
    return Config.fromfile(FOLDER / f'{name}_r50_100e.py')


def test_there_are_no_others():
    assert {path.stem for path in FOLDER.glob('*.py')} == {
        f'{name}_r50_100e' for name in NAMES
    }


@pytest.mark.parametrize('name', NAMES)
def test_images_epochs_and_photometric_augmentation_are_those_of_soco(name):
    soco = Config.fromfile(ROOT / 'configs/soco/soco_r50_fpn_100e.py')
    cfg = read(name)
    assert cfg.param_scheduler == soco.param_scheduler
    assert cfg.train_cfg == soco.train_cfg
    for key in ('batch_size', 'sampler', 'drop_last'):
        assert cfg.train_dataloader[key] == soco.train_dataloader[key]
    ours, theirs = (
        [each for each in each.train_pipeline if each['type'] not in BOXES]
        for each in (cfg, soco)
    )
    assert ours == theirs
    views = cfg.train_pipeline[1]['views']
    low = 0.08 if name == 'byol' else 0.2  # of the image's area
    assert [(each['size'], each['crop_scale']) for each in views] == [
        (224, (low, 1.0))
    ] * 2


@pytest.mark.parametrize(
    ('name', 'kind', 'rate', 'batch'),
    # What their papers say: a rate for a batch, linear in it; the batch here is 2048.
    [
        ('byol', 'LARS', 8.0, 2048),
        ('simsiam', 'SGD', 0.05, 256),
        ('mocov2', 'SGD', 0.03, 256),
        ('densecl', 'SGD', 0.03, 256),
    ],
)
def test_rates_are_those_of_their_papers(name, kind, rate, batch):
    cfg = read(name)
    optimizer = cfg.optim_wrapper.optimizer
    assert optimizer.type == kind
    assert optimizer.lr == pytest.approx(rate * 2048 / batch)
    assert cfg.auto_scale_lr.base_batch_size == 2048
    if name == 'simsiam':  # the predictor's does not change
        assert cfg.custom_hooks[0].lr == optimizer.lr


@pytest.mark.parametrize('name', NAMES)
def test_the_backbone_is_that_of_soco(name):
    try:
        installed_type('mmselfsup.BYOL')
    except SoCoError:
        pytest.skip('neither MMSelfSup nor MMPretrain is installed')
    model = MODELS.build(load_config(FOLDER / f'{name}_r50_100e.py').model)
    soco = MODELS.build(load_config('soco_r50_fpn_100e').model)
    ours, theirs = (
        {key: value.shape for key, value in each.backbone.state_dict().items()}
        for each in (model, soco)
    )
    assert ours == theirs
