"""The configs of the transfer study: what is taken away, and what is left."""

import pytest
import torch
from config_changes import describe_changes
from conftest import DEMO
from mini_transfer.cells import DETECTOR, FOLDER, SCRATCH, backbone_of, proposals_of
from mini_transfer.study import METHODS
from mmengine.config import Config
from mmengine.runner import load_checkpoint

from soco_mm.apis.export import export_detector
from soco_mm.checkpoint import read_checkpoint
from soco_mm.detectors.build import build_detector
from soco_mm.detectors.fit import WEIGHTS
from soco_mm.engine.config import load_config
from soco_mm.engine.schedules import set_epochs
from soco_mm.engine.training import train_model
from soco_mm.proposals import build_settings
from soco_mm.proposals.make import make_proposals
from soco_mm.registry import MODELS

PRETRAININGS = [method for method in METHODS if method != SCRATCH]
SOCO = [method for method in PRETRAININGS if method != 'byol']
# A convolution with its batch norm is 1 + 5 tensors. ResNet-18: the stem, two
# blocks of two in four stages, three shortcuts. FPN: four lateral and four
# output convolutions. Head: four convolutions, one layer of two tensors.
BACKBONE, NECK, HEAD = 6 * (1 + 4 * 2 * 2 + 3), 6 * 8, 6 * 4 + 2
TAKEN_AWAY = {
    'soco': [],
    'soco_whole-image': [
        'proposals = data/imagenet/proposals_whole',
        'SelectProposals.num_proposals = 1',
    ],
    'soco_no-head': [
        'without model.roi_head.bbox_head',
        'model.projector.in_channels = 64',
    ],
    'soco_no-scale-aware-assignment': [
        'model.roi_head.bbox_roi_extractor.scale_bounds = [0, 0, 0, 128]'
    ],
    'soco_no-box-jitter': ['without BoxJitter'],
    'soco_two-views': ['without ConstructViews.views.2'],
}


def test_every_method_has_a_config_and_every_config_a_method():
    files = {path.stem for path in FOLDER.glob('*.py')}
    assert files == {*PRETRAININGS, DETECTOR.stem}


@pytest.mark.parametrize('method', SOCO)
def test_a_part_is_taken_away_and_nothing_else(method):
    base, cfg = (Config.fromfile(FOLDER / f'{name}.py') for name in ('soco', method))
    assert describe_changes(base, cfg) == TAKEN_AWAY[method]


def test_byol_has_the_backbone_the_optimiser_the_images_and_the_epochs():
    soco, byol = (Config.fromfile(FOLDER / f'{name}.py') for name in ('soco', 'byol'))
    for key in ('optim_wrapper', 'param_scheduler', 'train_cfg', 'randomness'):
        assert soco[key] == byol[key]
    for key in ('batch_size', 'sampler'):
        assert soco.train_dataloader[key] == byol.train_dataloader[key]
    a, b = MODELS.build(soco.model), MODELS.build(byol.model)
    assert type(b).__module__ == 'mmselfsup.models.algorithms.byol'
    shapes = [
        {name: value.shape for name, value in model.backbone.state_dict().items()}
        for model in (a, b)
    ]
    assert shapes[0] == shapes[1]
    # The photometric augmentation is the same, transform by transform.
    kinds = ('ConstructViews', 'SelectProposals', 'BoxJitter')
    photometric = [
        [each for each in cfg.train_pipeline if each['type'] not in kinds]
        for cfg in (soco, byol)
    ]
    assert photometric[0] == photometric[1]


@pytest.fixture(scope='module')
def proposals(store, tmp_path_factory):
    """Stores of the demo's photos by kind of proposals."""
    whole = tmp_path_factory.mktemp('whole') / 'store'
    make_proposals(DEMO / 'images', whole, settings=build_settings(method='whole'))
    return {'selective-search': store, 'whole': whole}


def pretrain(method, proposals, work_dir):
    """One epoch of one step on the demo's photos."""
    cfg = load_config(FOLDER / f'{method}.py')
    cfg.train_dataloader.batch_size = 5
    cfg.train_dataloader.dataset.update(
        data_root=str(DEMO / 'images'), proposals=str(proposals[proposals_of(method)])
    )
    set_epochs(cfg, 1, 1)
    return cfg, train_model(cfg, work_dir)


@pytest.mark.parametrize('method', SOCO)
def test_what_a_pretraining_trained_is_in_the_detector(method, proposals, tmp_path):
    cfg, last = pretrain(method, proposals, tmp_path / 'run')
    report = export_detector(last, tmp_path / 'exported', config=cfg, detector=DETECTOR)
    filled = {
        name: len(part.filled) for name, part in report.parts.items() if part.filled
    }
    expected = {'backbone': BACKBONE, 'neck': NECK, 'box head': HEAD}
    if method == 'soco_no-head':
        del expected['box head']
    assert filled == expected
    assert report.unused == [] and report.max_difference < 1e-4
    detector = build_detector(report.config)
    load_checkpoint(detector, Config.fromfile(report.config).load_from)
    loaded = detector.state_dict()
    trained = read_checkpoint(last)['state_dict']
    exported = read_checkpoint(tmp_path / 'exported' / WEIGHTS)['state_dict']
    assert len(exported) == sum(expected.values())
    assert all(torch.equal(loaded[name], trained[name]) for name in exported)


def test_byol_trains_both_networks_and_hands_its_backbone_over(proposals, tmp_path):
    cfg, last = pretrain('byol', proposals, tmp_path)
    state = backbone_of(last)
    assert len(state) == BACKBONE
    detector = build_detector(DETECTOR)
    found = detector.load_state_dict(state, strict=False)
    assert found.unexpected_keys == []
    assert not any(name.startswith('backbone.') for name in found.missing_keys)
    trained = read_checkpoint(last)['state_dict']
    # The target of BYOL is a mean of backbone and neck over the steps.
    online = trained['backbone.conv1.weight']
    target = trained['target_net.module.0.conv1.weight']
    assert online.isfinite().all() and not torch.equal(online, target)
