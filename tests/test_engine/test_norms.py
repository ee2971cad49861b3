"""The norm layers of a model, chosen in one place."""

import copy

import pytest
import small
import torch
from mmengine.model import revert_sync_batchnorm
from torch import nn

from soco_mm.engine.config import load_config
from soco_mm.engine.init_weights import match_init_weights
from soco_mm.engine.initial_weights import match_initial_weights
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError

PARTS = ('backbone', 'neck', 'roi_head', 'projector', 'head')
GN = dict(_delete_=True, type='GN', num_groups=4)
BATCH_NORM = nn.modules.batchnorm._BatchNorm


def kinds(name, norm):
    """Types of the norms of each part."""
    model = MODELS.build(load_config(name, copy.deepcopy(dict(norm=norm))).model)
    return {
        part: {
            type(module).__name__
            for module in getattr(model, part).modules()
            if isinstance(module, (BATCH_NORM, nn.GroupNorm))
        }
        for part in PARTS
    }


@pytest.mark.parametrize(
    ('norm', 'kind'),
    [('SyncBN', 'SyncBatchNorm'), (GN, 'GroupNorm')],
)
def test_one_key_sets_the_norms_of_all_parts(norm, kind):
    assert kinds(small.SOCO, norm) == {part: {kind} for part in PARTS}


def test_batch_norm_is_that_of_each_process():
    found = kinds(small.SOCO, 'BN')
    assert all(found.values())
    assert not any('Sync' in name for each in found.values() for name in each)


def test_group_norm_has_32_groups_and_layer_norms_stay():
    cfg = load_config('soco_swin-t_fpn_100e', dict(norm='GN'))
    assert cfg.model.neck.norm_cfg == dict(type='GN', num_groups=32, requires_grad=True)
    assert 'norm_cfg' not in cfg.model.backbone


def test_a_norm_that_does_not_exist_is_refused():
    with pytest.raises(UsageError, match="is 'SyncB'. Did you mean SyncBN"):
        load_config(small.SOCO, dict(norm='SyncB'))


@pytest.mark.parametrize('key', ['load_from', 'init_weights'])
def test_pretrained_batch_norm_is_refused_by_group_norm(tmp_path, key):
    plain = MODELS.build(load_config(small.SOCO).model)
    backbone = revert_sync_batchnorm(plain).backbone.state_dict()
    weights = {f'backbone.{name}': value for name, value in backbone.items()}
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    match = dict(load_from=match_initial_weights, init_weights=match_init_weights)[key]
    for norm, words in (
        (GN, 'batch norm .*do not fit one with group norm'),
        (None, ''),
    ):
        cfg = load_config(small.SOCO, copy.deepcopy(dict(norm=norm)))
        cfg[key] = str(tmp_path / 'weights.pth')
        model = MODELS.build(cfg.model)
        if words:
            with pytest.raises(SoCoError, match=words):
                match(cfg, model)
        else:
            assert match(cfg, model)
