"""Layers that the loss does not depend on, in one process and in two."""

import os

import pytest
import torch
from mmengine.model import revert_sync_batchnorm
from test_soco import make_inputs
from two_processes import in_two_processes

from soco_mm.engine.config import load_config
from soco_mm.engine.runtime import TrainingRunner, adapt_to_device
from soco_mm.models.utils.idle_layers import has_idle_layers
from soco_mm.registry import MODELS

MOBILENET = 'short/soco_mobilenetv2_fpn_short'
TRAINED = {'model.frozen_parts': ()}
EXTRA = {'model.neck.add_extra_convs': 'on_input', 'model.neck.num_outs': 5}


@pytest.mark.parametrize(
    'recipe, options, idle',
    [
        (MOBILENET, TRAINED, True),
        (MOBILENET, {}, False),  # its backbone is frozen
        (MOBILENET, TRAINED | {'model.backbone.out_indices': (1, 2, 4, 7)}, False),
        ('soco_r18_fpn_quick', {}, False),
        ('soco_r18_fpn_quick', {'model.backbone.num_stages': 4}, False),
        ('soco_r18_fpn_quick', EXTRA, True),
        ('soco_r50_c4_100e', {}, False),
    ],
)
def test_idle_are_those_without_a_gradient(recipe, options, idle):
    if options.get('model.backbone.out_indices'):
        options = options | {'model.neck.in_channels': [24, 32, 96, 1280]}
    torch.manual_seed(0)
    model = MODELS.build(load_config(recipe, options).model)
    model = revert_sync_batchnorm(model).train()
    model.loss(*make_inputs())['loss'].backward()
    without = [
        name
        for name, p in model.named_parameters()
        if p.requires_grad and p.grad is None
    ]
    assert bool(without) == idle == has_idle_layers(model)


def train(rank):
    """Two steps of a model whose backbone ends in a layer that nothing reads."""
    os.environ['LOCAL_RANK'] = str(rank)  # as a launcher does
    cfg = load_config(MOBILENET, TRAINED)
    cfg.launcher = 'pytorch'
    adapt_to_device(cfg)
    runner = object.__new__(TrainingRunner)
    runner.cfg, runner._distributed = cfg, True
    torch.manual_seed(0)
    wrapped = runner.wrap_model(cfg.model_wrapper_cfg, MODELS.build(cfg.model))
    model = wrapped.module.train()
    optimizer = torch.optim.SGD(model.trained_net.parameters(), lr=1e-3)
    views, boxes, valid = (
        [each[2 * rank :][:2] for each in group] for group in make_inputs(number=4)
    )
    for _ in range(2):
        loss, _ = model.parse_losses(wrapped(views, boxes, valid, mode='loss'))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.backbone.state_dict()


@pytest.mark.slow
def test_two_processes_train_a_model_with_an_idle_layer(tmp_path):
    first, second = in_two_processes(train, tmp_path)
    torch.manual_seed(0)
    before = MODELS.build(load_config(MOBILENET, TRAINED).model).backbone.state_dict()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name
    assert not torch.equal(first['conv1.conv.weight'], before['conv1.conv.weight'])
    assert torch.equal(first['conv2.conv.weight'], before['conv2.conv.weight'])
