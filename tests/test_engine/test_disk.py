"""Trainings whose disk becomes full: a small tmpfs, filled for real."""

import logging
import shutil
import subprocess
from pathlib import Path

import pytest
import small
import torch
from mmengine.hooks import Hook

from soco_mm.engine.training import train_model
from soco_mm.errors import SoCoError
from soco_mm.registry import HOOKS

SIZE = 64 << 20  # a checkpoint takes 11.3 MB


@HOOKS.register_module()
class FillDiskHook(Hook):
    """Leave no room on the disk of a run before some epochs, and free it after."""

    priority = 'VERY_LOW'

    def __init__(self, epochs):
        self.epochs = epochs

    def before_train_epoch(self, runner):
        filler = disk_of(runner) / 'filler'
        filler.unlink(missing_ok=True)
        if runner.epoch in self.epochs:
            free = shutil.disk_usage(filler.parent).free
            with filler.open('wb') as stream:
                stream.write(bytes(free - (1 << 20)))
            self.fill_rest(filler.with_name('rest'))
            # More than what is left of the last block of a file.
            runner.logger.info('.' * 9000)
            runner.visualizer.add_scalars({'.' * 9000: 1.0})

    def after_train_epoch(self, runner):
        (disk_of(runner) / 'rest').unlink(missing_ok=True)

    @staticmethod
    def fill_rest(path):
        """To the last byte."""
        try:
            with path.open('wb', buffering=0) as stream:
                while stream.write(bytes(4096)):
                    pass
        except OSError:
            pass


def disk_of(runner):
    return Path(runner.work_dir).parent


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', f'size={SIZE}', 'tmpfs', folder]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip('A file system can be mounted by root only.')
    yield folder
    logging.shutdown()
    subprocess.run(['umount', '-l', folder], check=True)


def config(store, images, full, keep=3):
    options = {
        'train_dataloader.batch_size': 5,
        'default_hooks.logger.interval': 1,
        'default_hooks.checkpoint.max_keep_ckpts': keep,
        'train_cfg.max_epochs': 3,
    }
    hook = dict(type='FillDiskHook', epochs=full)
    return small.training(store, images, options, [hook])


def names(run):
    return sorted(path.name for path in (run / 'checkpoints').iterdir())


@pytest.mark.parametrize('keep', [1, 3])
def test_a_training_goes_on_after_a_checkpoint_that_does_not_fit(
    store, demo_images, disk, caplog, capsys, keep
):
    run = disk / 'RUN'
    train_model(config(store, demo_images, [1], keep), run, quiet=True)
    said = caplog.text
    assert f'The checkpoint {run}/checkpoints/epoch_2.pth could not be written' in said
    assert 'No space left on device): it takes 11.' in said and 'are free there' in said
    assert f'{run}/checkpoints/epoch_1.pth is kept. The training goes on' in said
    assert '.log cannot be written' in said and 'scalars.json cannot be' in said
    assert 'Logging error' not in capsys.readouterr().err
    kept = ['epoch_3.pth'] if keep == 1 else ['epoch_1.pth', 'epoch_3.pth']
    assert names(run) == kept
    torch.load(run / 'checkpoints/epoch_3.pth')


@pytest.mark.parametrize('full', [[2], [1, 2]])
def test_the_last_or_the_second_checkpoint_that_does_not_fit_stops_a_training(
    store, demo_images, disk, full
):
    run = disk / 'RUN'
    with pytest.raises(SoCoError, match='The training is stopped. Free some') as stop:
        train_model(config(store, demo_images, full), run, quiet=True)
    assert stop.value.exit_code == 1
    last = 'epoch_1.pth' if 1 in full else 'epoch_2.pth'
    assert f'{run}/checkpoints/{last} is kept' in str(stop.value)
    assert names(run) == [f'epoch_{i}.pth' for i in (1, 2) if i - 1 not in full]
    (disk / 'filler').unlink()
    train_model(config(store, demo_images, []), run, resume=True, quiet=True)
    assert names(run)[-1] == 'epoch_3.pth'
