"""The image-level baselines, of MMSelfSup or of MMPretrain."""

import beside
import pytest
import torch
from mmengine.logging import MessageHub

from soco_mm.openmmlab import resolve
from soco_mm.registry import MODELS

pytestmark = pytest.mark.slow
MLP = dict(hid_channels=16, out_channels=8, norm_cfg=dict(type='BN1d'))
NECK = dict(type='mmselfsup.NonLinearNeck', in_channels=32, **MLP)
PREDICTOR = dict(
    type='mmselfsup.NonLinearNeck', in_channels=8, with_avg_pool=False, **MLP
)
LATENT = dict(
    type='mmselfsup.LatentPredictHead',
    predictor=PREDICTOR,
    loss=dict(type='mmselfsup.CosineSimilarityLoss'),
)
CONTRASTIVE = dict(
    type='mmselfsup.ContrastiveHead',
    loss=dict(type='mmcls.CrossEntropyLoss'),
    temperature=0.2,
)
QUEUE = dict(queue_len=8, feat_dim=8, momentum=0.75)
GRID = dict(in_channels=32, hid_channels=16, out_channels=8)
BASELINES = dict(
    BYOL=dict(type='mmselfsup.BYOL', neck=NECK, head=LATENT, base_momentum=0.75),
    SimSiam=dict(type='mmselfsup.SimSiam', neck=NECK, head=LATENT),
    MoCo=dict(
        type='mmselfsup.MoCo',
        neck=dict(type='mmselfsup.MoCoV2Neck', **GRID),
        head=CONTRASTIVE,
        **QUEUE,
    ),
    DenseCL=dict(
        type='mmselfsup.DenseCL',
        neck=dict(type='mmselfsup.DenseCLNeck', num_grid=None, **GRID),
        head=CONTRASTIVE,
        **QUEUE,
    ),
)
# The part of a model that follows the online network.
TARGETS = dict(BYOL='target_net', MoCo='encoder_k', DenseCL='encoder_k')
PACKAGES = ('mmselfsup', 'mmpretrain')
# In a process of its own: both packages cannot be imported into one.
WITH_MMPRETRAIN = """
import sys
sys.modules.update(mmselfsup=None, mmcls=None)
import import_beside
from test_baselines import take_steps
take_steps(sys.argv[1])
"""


def values(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def take_steps(path):
    """Save what comes of two steps of each baseline."""
    MessageHub.get_current_instance().update_info('max_iters', 10**9)
    results = {}
    for name, cfg in BASELINES.items():
        torch.manual_seed(0)
        cfg = dict(
            cfg,
            backbone=dict(
                type='mmdet.ResNet', depth=18, base_channels=4, out_indices=(3,)
            ),
            data_preprocessor=dict(type='soco_mm.ImageViewDataPreprocessor'),
        )
        resolve(cfg)
        model = MODELS.build(cfg)
        model.init_weights()
        sgd = torch.optim.SGD(model.parameters(), lr=0.1)
        losses = []
        for _ in range(2):
            before = values(model)
            views = [torch.randn(4, 3, 64, 64) for _ in range(2)]
            losses.append(sum(model.loss(views, []).values()))
            after = values(model)
            losses[-1].backward()
            sgd.step()
        results[name] = dict(
            module=type(model).__module__, losses=losses, before=before, after=after
        )
    torch.save(results, path)


@pytest.fixture(scope='module')
def outcome(tmp_path_factory):
    """What comes of the baselines with a package, if it can be imported."""
    folder = tmp_path_factory.mktemp('baselines')

    def get(package):
        path = folder / package
        if path.exists():
            return torch.load(path)
        if package == 'mmselfsup':
            pytest.importorskip('mmselfsup.models')
            take_steps(path)
        elif not (beside.FOLDER / 'torchvision').is_dir():
            pytest.skip('there is no torchvision (tests/install_other_libraries.sh)')
        else:
            done = beside.run(WITH_MMPRETRAIN, path)
            assert done.returncode == 0, done.stderr
        return torch.load(path)

    return get


@pytest.mark.parametrize('name', BASELINES)
def test_a_baseline_computes_the_same_with_either_package(name, outcome):
    theirs, ours = (outcome(package)[name] for package in PACKAGES)
    assert theirs['module'].startswith('mmselfsup.')
    assert ours['module'].startswith('mmpretrain.')
    assert torch.equal(torch.stack(ours['losses']), torch.stack(theirs['losses']))
    assert ours['after'].keys() == theirs['after'].keys()
    for key, value in theirs['after'].items():
        torch.testing.assert_close(ours['after'][key], value, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize('package', PACKAGES)
@pytest.mark.parametrize('name', TARGETS)
def test_a_step_keeps_the_share_of_the_target_network_in_the_config(
    name, package, outcome
):
    result = outcome(package)[name]
    before, after = result['before'], result['after']
    moved = 0
    for key, old in before.items():
        if not key.startswith(f'{TARGETS[name]}.module.') or 'running' in key:
            continue
        part, _, rest = key.split('.module.')[1].partition('.')
        online = before[f'{("backbone", "neck")[int(part)]}.{rest}']
        if old.is_floating_point():
            torch.testing.assert_close(after[key], 0.75 * old + 0.25 * online)
            moved += not torch.equal(old, online)
    assert moved > 20
