"""Images that vanish, and processes that load them and are killed."""

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest
import small
import torch
from mmengine.hooks import Hook

from soco_mm.engine.hooks.replaced_images_hook import ReplacedImagesHook
from soco_mm.engine.training import train_model
from soco_mm.errors import SoCoError
from soco_mm.registry import HOOKS

EPOCHS = {'train_cfg.max_epochs': 3}


@HOOKS.register_module()
class KillWorkerHook(Hook):
    """Kill a process that loads images after some iterations."""

    def __init__(self, iterations=()):
        self.iterations = iterations

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if not self.iterations or runner.iter in self.iterations:
            for worker in multiprocessing.active_children():
                os.kill(worker.pid, signal.SIGKILL)


@HOOKS.register_module()
class LoseImageHook(Hook):
    """Delete an image, and cut another one, before the second epoch."""

    def before_train_epoch(self, runner):
        if runner.epoch == 1:
            dataset = runner.train_dataloader.dataset
            Path(dataset.get_data_info(1)['img_path']).unlink()
            Path(dataset.get_data_info(3)['img_path']).write_bytes(b'')


def weights(checkpoint):
    return torch.load(checkpoint)['state_dict']


def same(ours, theirs):
    return all(torch.equal(ours[name], value) for name, value in theirs.items())


@pytest.mark.parametrize('persistent', [False, True])
def test_a_killed_loader_goes_on_with_the_same_batch(
    store, demo_images, tmp_path, caplog, persistent
):
    options = {'train_cfg.max_epochs': 2, 'train_dataloader.batch_size': 1}
    undisturbed = train_model(
        small.training(store, demo_images, options), tmp_path / 'undisturbed'
    )
    options |= {
        'train_dataloader.num_workers': 1,
        'train_dataloader.prefetch_factor': 1,
        'train_dataloader.persistent_workers': persistent,
    }
    # The batch after the next one is not asked for yet.
    hooks = [dict(type='KillWorkerHook', iterations=[0, 6])]
    cfg = small.training(store, demo_images, options, hooks)
    killed = train_model(cfg, tmp_path / 'killed', quiet=True)
    assert caplog.text.count('The loader starts again with the same batch') == 2
    assert 'Traceback' not in caplog.text
    assert same(weights(killed), weights(undisturbed))


def test_loaders_that_are_killed_again_and_again_stop_the_training(
    store, demo_images, tmp_path
):
    options = {
        'train_cfg.max_epochs': 3,
        'train_dataloader.batch_size': 1,
        'train_dataloader.num_workers': 1,
        'train_dataloader.prefetch_factor': 1,
    }
    cfg = small.training(store, demo_images, options, [dict(type='KillWorkerHook')])
    with pytest.raises(SoCoError, match='killed 4 times') as stop:
        train_model(cfg, tmp_path / 'run')
    assert 'fewer --workers' in str(stop.value) and '\n' not in str(stop.value)


@pytest.fixture
def images(demo_images, tmp_path):
    """A copy that can be spoilt, again and again."""

    def copy():
        shutil.rmtree(tmp_path / 'images', ignore_errors=True)
        return shutil.copytree(demo_images, tmp_path / 'images')

    return copy


def test_images_that_vanish_are_named_counted_and_replaced(
    store, images, tmp_path, caplog
):
    options = EPOCHS | {'train_dataloader.batch_size': 5}
    hooks = [dict(type='LoseImageHook')]
    made = []
    for workers in (0, 2):
        caplog.clear()
        options['train_dataloader.num_workers'] = workers
        cfg = small.training(store, images(), options, hooks)
        made.append(weights(train_model(cfg, tmp_path / f'{workers}', quiet=True)))
        said = caplog.text
        # Two epochs of three without them: one line a cause, and the total.
        assert said.count('and another image takes its place') == 2
        assert 'cannot be read (No such file or directory), and another' in said
        assert '4 of 15 images were replaced by others: ' in said
        assert 'is empty, and 1 more' in said
    assert same(*made)


def test_too_many_lost_images_stop_a_training(store, images, tmp_path, monkeypatch):
    monkeypatch.setattr(ReplacedImagesHook, 'LEAST', 1)
    cfg = small.training(store, images(), EPOCHS, [dict(type='LoseImageHook')])
    with pytest.raises(SoCoError, match='more than 1%') as stop:
        train_model(cfg, tmp_path / 'run')
    assert 'images were replaced by others: ' in str(stop.value)
    for path in (tmp_path / 'images').iterdir():
        path.unlink()
    cfg = small.training(
        store, tmp_path / 'images', EPOCHS | {'train_dataloader.num_workers': 1}
    )
    with pytest.raises(SoCoError) as stop:
        train_model(cfg, tmp_path / 'empty')
    assert 'Traceback' not in str(stop.value)
