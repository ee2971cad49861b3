"""Two processes (gloo) train as one that has the whole batch."""

import copy

import pytest
import small
import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
from test_soco import make_inputs
from torch import distributed, nn
from two_processes import in_two_processes

from soco_mm.engine import LARS
from soco_mm.engine.runtime import replace_types
from soco_mm.models import SoCo
from soco_mm.models.layers import ViewSyncBatchNorm
from soco_mm.registry import MODELS

pytestmark = pytest.mark.slow
STEPS = 3
INFONCE = dict(
    loss=dict(type='ObjectInfoNCELoss'),
    regulariser=dict(type='VarianceCovarianceLoss'),
)
# Without displacement no random number is drawn.
BOXES = dict(type='DisplacedBoxHead', in_channels=64, max_shift=0.0)


def sync_bn(cfg):
    pass


def group_norm(cfg):
    replace_types(cfg, {'SyncBN': 'GN'})
    for part in (cfg.backbone, cfg.neck, cfg.roi_head.bbox_head, cfg.projector):
        part.norm_cfg.num_groups = 4
    cfg.head.predictor.norm_cfg.num_groups = 4


def frozen_bn(cfg):
    cfg.frozen_parts = ('backbone', 'neck')


def infonce(cfg):
    cfg.head.update(INFONCE)


def box_head(cfg):
    cfg.box_head = BOXES


VARIANTS = [sync_bn, group_norm, frozen_bn, infonce, box_head]


def double(module, args):
    """RoI features are float32."""
    return tuple(each.double() for each in args)


def build(change):
    """The narrow model in float64, with statistics as after some training."""
    torch.manual_seed(0)
    cfg = Config.fromfile(small.SOCO).model
    cfg.roi_head.bbox_roi_extractor.scale_bounds = [12, 16, 24, 32]
    change(cfg)
    model = MODELS.build(cfg)
    model.init_weights()
    for module in model.online_net.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            nn.init.uniform_(module.weight, 0.5, 1)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1)
    model.reset_target()
    generator = torch.Generator().manual_seed(2)
    for p in model.target_net.parameters():
        p.add_(0.1 * torch.randn(p.shape, generator=generator) * p.abs().mean())
    model = model.double()
    for head in (model.roi_head, model.target_net.module.roi_head):
        head.bbox_head.register_forward_pre_hook(double)
    if model.box_head is not None:
        model.box_head.float()
    return model.train()


def batch():
    """Three views of four images, some objects of which are not valid."""
    views, boxes, valid = make_inputs(number=4, sizes=(64, 64, 32))
    valid[0][0, 1:] = valid[1][1, 2] = valid[2][3] = False
    return [view.double() for view in views], boxes, valid


def train(model, wrapped, inputs):
    """Losses, gradients of the first step, and the state after the last."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = LARS(parameters, lr=1.0, eta=0.1)
    losses, gradients = [], {}
    for step in range(1, STEPS + 1):
        loss, _ = model.parse_losses(wrapped(*inputs, mode='loss'))
        loss.backward()
        losses.append(loss.detach())
        if step == 1:
            gradients = {
                name: p.grad.clone()
                for name, p in model.named_parameters()
                if p.grad is not None
            }
        optimizer.step()
        optimizer.zero_grad()
        model.update_target(step, STEPS)
    return dict(losses=losses, gradients=gradients, state=model.state_dict())


def count_norms(rank):
    """Collectives of the norms in a step of the paper's recipe, narrow."""
    name = 'soco_r50_fpn_100e'
    cfg = Config.fromfile(small.SOCO.parents[2] / f'configs/soco/{name}.py')
    cfg.merge_from_dict(small.RECIPES[name])
    model = ViewSyncBatchNorm.convert(MODELS.build(cfg.model)).train()
    reduce, calls = distributed.all_reduce, []

    def counted(*args, **kwargs):
        calls.append(args)
        return reduce(*args, **kwargs)

    distributed.all_reduce = counted
    loss = model.loss(*make_inputs(sizes=(64, 64, 32)))['loss']
    forward = len(calls)
    loss.backward()
    distributed.all_reduce = reduce
    norms = [m for m in model.modules() if isinstance(m, ViewSyncBatchNorm)]
    return dict(forward=forward, backward=len(calls) - forward, norms=len(norms))


def in_process(rank):
    mine = [[each[2 * rank :][:2] for each in group] for group in batch()]
    found = {}
    for change in VARIANTS:
        model = ViewSyncBatchNorm.convert(build(change))
        wrapped = MMDistributedDataParallel(
            model, device_ids=None, broadcast_buffers=False
        )
        found[change.__name__] = copy.deepcopy(train(model, wrapped, mine))
    found['count'] = count_norms(rank)
    return found


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    return in_two_processes(in_process, tmp_path_factory.mktemp('trained'))


def differences(ours, theirs):
    """The largest difference of each tensor, as a share of its largest value."""
    assert ours.keys() == theirs.keys()
    return {
        name: ((ours[name] - value).abs().max() / value.abs().max().clamp(min=1e-6))
        for name, value in theirs.items()
        if value.is_floating_point()
    }


@pytest.mark.parametrize('change', VARIANTS, ids=lambda change: change.__name__)
def test_loss_gradients_and_three_steps_are_those_of_one_process(
    found, change, monkeypatch
):
    # One process leaves out maps, and with them a view's share in the statistics.
    monkeypatch.setattr(SoCo, 'idle_levels', lambda self, boxes: [0] * len(boxes))
    model = revert_sync_batchnorm(build(change))
    whole = train(model, model, batch())
    both = [each[change.__name__] for each in found]
    for first, second, loss in zip(*(each['losses'] for each in both), whole['losses']):
        assert (first + second).item() / 2 == pytest.approx(loss.item(), rel=1e-6)
    for key in ('gradients', 'state'):
        for name, value in both[0][key].items():
            assert torch.equal(value, both[1][key][name]), name
        wrong = differences(both[0][key], whole[key])
        assert max(wrong.values()) < 1e-6, max(wrong, key=wrong.get)
    assert whole['losses'][0] != whole['losses'][-1]


def test_views_share_the_collectives_of_the_norms(found):
    """PyTorch's norms take one for each layer, view and network."""
    counted = found[0]['count']
    assert counted == found[1]['count']
    encoder = 66  # ResNet-50: 53, FPN: 8, head: 4, projector: 1
    assert counted['norms'] == 2 * encoder + 1
    # V1 and V2 at once; the objects of all views at once; the predictor.
    assert counted['forward'] == 2 * (2 * 61 + 5) + 1 < 3 * (2 * encoder + 1) * 2 / 3
    assert counted['backward'] == 2 * 61 + 5 + 1
