"""A training whose model draws random numbers is resumed bit for bit."""

import numpy as np
import pytest
import torch
from conftest import DEMO
from mmengine.hooks import Hook
from small import RPN, SOCO

from soco_mm.engine.config import load_config
from soco_mm.engine.training import train_model
from soco_mm.proposals import Proposals, ProposalStore
from soco_mm.registry import HOOKS


class Stop(Hook):
    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            raise KeyboardInterrupt


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.setitem(HOOKS._module_dict, 'StopHook', Stop)
    images = sorted(path.name for path in (DEMO / 'images').glob('*.jpg'))[:4]
    rng = np.random.default_rng(0)

    def boxes():
        corner = rng.uniform(0, 60, (6, 2))
        return np.float32(np.hstack([corner, corner + rng.uniform(60, 120, (6, 2))]))

    from soco_mm.utils import read_heads

    sizes = [head.size for head in read_heads(DEMO / 'images', images)]
    ProposalStore.write(
        tmp_path / 'store',
        dict(generator={}),
        [Proposals(name, boxes(), size, 0) for name, size in zip(images, sizes)],
    )

    def make(**model):
        cfg = load_config(SOCO)
        cfg.model.update(model)
        cfg.train_dataloader.update(batch_size=2, num_workers=0)
        cfg.train_dataloader.persistent_workers = False
        cfg.train_dataloader.dataset.update(
            data_root=str(DEMO / 'images'), proposals=str(tmp_path / 'store')
        )
        for each in cfg.train_dataloader.dataset.pipeline:
            if each.type == 'SelectProposals':
                each.max_proposals = 6
        cfg.train_cfg.max_epochs = 2
        return cfg

    return make


def test_rpn_displaced_boxes_and_regulariser_go_on_bit_for_bit(config, tmp_path):
    def weights(name, **kwargs):
        cfg = config(
            rpn_head=RPN, box_head=dict(type='DisplacedBoxHead', in_channels=64)
        )
        cfg.model.neck.num_outs = 5
        cfg.model.head.regulariser = dict(type='VarianceCovarianceLoss')
        cfg.custom_hooks += kwargs.pop('hooks', [])
        path = train_model(cfg, tmp_path / name, **kwargs)
        return torch.load(path)['state_dict']

    expected = weights('straight')
    with pytest.raises(KeyboardInterrupt):
        weights('stopped', hooks=[dict(type='StopHook')])
    torch.manual_seed(123)  # what another process would draw next
    actual = weights('stopped', resume=True)
    assert expected.keys() == actual.keys()
    different = [k for k in expected if not torch.equal(expected[k], actual[k])]
    assert different == []
