"""Parts of the model that stay as they are."""

import copy

import pytest
import small
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from test_soco import make_inputs, perturb_target

from soco_mm.registry import MODELS


def build(frozen_parts, **changes):
    """The narrow model with weights in which each norm is another."""
    torch.manual_seed(0)
    cfg = Config.fromfile(small.SOCO).model
    cfg.update(frozen_parts=frozen_parts, **changes)
    # The boxes of make_inputs are then on all levels.
    cfg.roi_head.bbox_roi_extractor.scale_bounds = [12, 16, 24, 32]
    model = revert_sync_batchnorm(MODELS.build(cfg))
    for module in model.online_net.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1)
    model.reset_target()
    return model


def plain_loss(model, frozen, views, boxes, valid):
    """Each network with a copy of the frozen parts of its own, for each view."""
    online, target = copy.deepcopy(model.online_net), model.target_net.module
    target.backbone = copy.deepcopy(model.backbone)
    if target.neck is None:
        target.neck = copy.deepcopy(model.neck)
    for net in (online, target):
        net.train()
        for name in frozen:
            getattr(net, name).requires_grad_(False).eval()
    projected = [online(view, box) for view, box in zip(views, boxes)]
    with torch.no_grad():
        targets = [target(view, box) for view, box in zip(views, boxes)]
    return model.head.loss(projected, targets, valid, boxes)['loss'], online


@pytest.mark.parametrize(
    'frozen',
    [('backbone',), ('backbone', 'neck'), ('neck',), ('roi_head', 'backbone')],
    ids='-'.join,
)
def test_loss_and_gradients_are_those_of_two_networks_with_frozen_parts(frozen):
    model = build(frozen)
    perturb_target(model)
    if 'backbone' not in frozen:
        model.target_net.module.backbone.load_state_dict(model.backbone.state_dict())
    inputs = make_inputs()
    plain, online = plain_loss(copy.deepcopy(model), frozen, *inputs)
    plain.backward()
    loss = model.loss(*inputs)['loss']
    loss.backward()
    assert loss.item() == pytest.approx(plain.item(), abs=1e-5)
    reached = []
    for name, parameter in online.named_parameters():
        ours = model.get_parameter(name).grad
        assert (ours is None) == name.startswith(frozen), name
        if ours is not None:
            torch.testing.assert_close(ours, parameter.grad, rtol=1e-4, atol=1e-6)
            reached.append(name.partition('.')[0])
    assert set(reached) == {'backbone', 'neck', 'roi_head', 'projector'} - set(frozen)


def test_a_step_changes_nothing_in_a_frozen_backbone_and_all_that_is_trained():
    model = build(('backbone',)).train()
    before = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.1
    )
    model.loss(*make_inputs())['loss'].backward()
    optimizer.step()
    model.update_target(1, 10)
    for name, value in model.state_dict().items():
        if value.ndim > 1 or name.startswith('backbone.'):
            same = torch.equal(value, before[name])
            assert same == name.startswith('backbone.'), name


def test_norms_of_frozen_parts_stay_in_evaluation_mode():
    for frozen in (('backbone',), ('neck',)):
        model = build(frozen)
        for mode in (True, False, True):
            model.train(mode)
            for name, module in model.named_modules():
                if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                    part = name.removeprefix('target_net.module.').partition('.')[0]
                    assert module.training == (mode and part not in frozen), name


def test_both_networks_share_a_frozen_backbone_and_it_is_computed_once_a_view():
    model = build(('backbone',))
    held = {name.split('.')[2] for name in model.state_dict() if 'target_net.m' in name}
    assert held == {'neck', 'roi_head', 'projector'}
    seen = []
    model.backbone.register_forward_hook(
        lambda *_: seen.append(torch.is_grad_enabled())
    )
    model.loss(*make_inputs())
    assert seen == [False] * 3


def test_a_part_that_cannot_be_frozen_is_refused():
    with pytest.raises(
        ValueError, match="'projector', but .* backbone, neck, roi_head"
    ):
        build(('projector',))
    with pytest.raises(ValueError, match="'neck', but .* backbone, roi_head"):
        build(('neck',), neck=None)
    with pytest.raises(ValueError, match='all parts of the model'):
        build(('backbone', 'neck', 'roi_head'))
