import time

import pytest
from mmcv.cnn import build_norm_layer
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn

from soco_mm.engine import build_runner
from soco_mm.engine.runtime import use_torch_sync_norm


class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x, mode):
        return dict(loss=self.layer(x).sum())


@pytest.fixture
def toy():
    MODELS.register_module('ToyOfTheRuntime', module=Toy)
    yield dict(type='mmengine.ToyOfTheRuntime')
    del MODELS.module_dict['ToyOfTheRuntime']


def config(model, work_dir):
    return Config(
        dict(
            model=model,
            work_dir=str(work_dir),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            train_dataloader=dict(dataset=[], batch_size=1),
            default_scope='mmengine',
            visualizer=dict(
                type='Visualizer',
                save_dir=str(work_dir),
                vis_backends=[dict(type='LocalVisBackend')],
            ),
        )
    )


def test_runs_that_start_in_one_second_are_apart(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(time, 'time', lambda: 1e9)
    runners = {
        name: build_runner(config(toy, tmp_path / name)) for name in ('first', 'second')
    }
    for name, runner in runners.items():
        runner.message_hub.update_info('best_ckpt', name)
        runner.visualizer.add_scalar('loss', 1.0)
        runner.logger.info(f'This is the {name}.')
    for name, runner in runners.items():
        assert runner.message_hub.get_info('best_ckpt') == name
        assert (tmp_path / name / 'vis_data/scalars.json').is_file()
        (log,) = (tmp_path / name).glob('*/*.log')
        said = [line for line in log.read_text().splitlines() if 'This is the' in line]
        assert len(said) == 1 and said[0].endswith(f'the {name}.')


class Normed(nn.Module):
    def __init__(self, norm_cfg):
        super().__init__()
        self.layers = nn.ModuleList(build_norm_layer(each, 3)[1] for each in norm_cfg)


def test_mmcvs_synchronised_norm_is_never_built():
    """It reads channels_last tensors as NCHW, and asks for processes."""
    cfg = Config(
        dict(
            model=dict(
                norm_cfg=[
                    dict(type='MMSyncBN', stats_mode='N', eps=1e-3),
                    dict(type='BN'),
                ]
            )
        )
    ).model
    use_torch_sync_norm(cfg)
    synced, plain = Normed(**cfg).layers
    assert isinstance(synced, nn.SyncBatchNorm) and synced.eps == 1e-3
    assert type(plain) is nn.BatchNorm2d
