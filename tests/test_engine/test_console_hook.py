import logging
import os
import pty
import re
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from torch.utils.data import Dataset

from soco_mm.engine import build_runner
from soco_mm.engine.console import run_training
from soco_mm.engine.quiet_log import tell
from soco_mm.log import logger
from soco_mm.utils.live_line import longest_that_fits


class Line(BaseModel):
    """A loss of 3 and a floor of 1, whatever the data."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def forward(self, inputs, mode='loss'):
        return dict(loss=3 * self.weight / self.weight.detach())

    def parse_losses(self, losses):
        return losses['loss'], dict(loss=losses['loss'], loss_floor=torch.tensor(1.0))


class Six(Dataset):
    metainfo = {}

    def __len__(self):
        return 6

    def __getitem__(self, index):
        return dict(inputs=torch.zeros(1))


@pytest.fixture
def cfg(tmp_path):
    MODELS.register_module('Line', module=Line, force=True)
    DATASETS.register_module('Six', module=Six, force=True)
    return Config(
        dict(
            default_scope='soco_mm',
            work_dir=str(tmp_path),
            model=dict(type='Line'),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                dataset=dict(type='Six'),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=4),
            param_scheduler=dict(type='ConstantLR', factor=1.0),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
            default_hooks=dict(
                runtime_info=dict(type='DeferredRuntimeInfoHook'),
                logger=dict(type='LoggerHook', interval=1),
            ),
        )
    )


@pytest.fixture
def said():
    """What is logged for users."""

    class Keep(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    messages, level, handler = [], logger.level, Keep()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield messages
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_the_last_epoch_has_a_line_with_the_loss_over_its_floor(cfg, said):
    run_training(build_runner(cfg, quiet=True))
    *_, last = said
    over = r'( 2\.000 above its floor|\(2\.000 above floor\))'
    assert re.match(rf'epoch 4/4  loss 3\.000 {over}  ', last)
    assert re.search(r'[\d.]+ im(g|ages)/s  wait(ing)? \d+ %  0:00 left$', last)


def test_the_log_is_in_its_file_only(cfg, capsys, tmp_path):
    run_training(build_runner(cfg, quiet=True))
    printed = capsys.readouterr()
    assert 'mmengine' not in printed.out + printed.err
    (log,) = tmp_path.glob('*/*.log')
    text = log.read_text()
    assert 'System environment' in text and 'Epoch(train) [4][3/3]' in text


def test_a_loud_run_shows_mmengines_log_and_no_progress(cfg, said, capsys):
    run_training(build_runner(cfg))
    assert said == []
    assert 'Epoch(train) [4][3/3]' in capsys.readouterr().out


def test_unknown_warnings_and_what_is_told_stay_visible(cfg, said):
    runner = build_runner(cfg, quiet=True)
    runner.logger.info('a detail')
    runner.logger.warning('something is odd')
    runner.logger.warning('"FileClient" will be deprecated in future. Please')
    tell('5 images')
    assert said == ['WARNING: something is odd', '5 images']


def test_a_training_that_fails_leaves_the_terminal_as_it_was(cfg, monkeypatch):
    streams = sys.stdout, sys.stderr
    runner = build_runner(cfg, quiet=True)
    monkeypatch.setattr(Line, 'forward', lambda *args, **kwargs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_training(runner)
    assert (sys.stdout, sys.stderr) == streams
    import mmengine.logging.logger as module

    assert 'print' not in vars(module)


def test_the_line_fits_the_terminal():
    forms = ['epoch 1/2  12.0 images/s', 'epoch 1/2  12/s', 'epoch 1/2']
    assert longest_that_fits(forms, 80) == forms[0]
    assert longest_that_fits(forms, 16) == forms[1]
    assert longest_that_fits(forms, 3) == forms[2]


def test_a_live_line_is_drawn_on_a_terminal_and_forked_processes_print_freely():
    program = (
        'import os, sys, time\n'
        'from soco_mm.utils.live_line import LiveLine\n'
        'line = LiveLine(["epoch 1/2"]); time.sleep(0.6)\n'
        'child = os.fork()\n'
        'if not child:\n'
        '    print(type(sys.stdout).__name__, flush=True); os._exit(0)\n'
        'os.waitpid(child, 0); print("above"); line.stop()\n'
    )
    ours, theirs = pty.openpty()
    subprocess.run(
        [sys.executable, '-c', program],
        stdout=theirs,
        check=True,
        env=dict(os.environ, TERM='xterm'),
    )
    text = os.read(ours, 65536).decode()
    os.close(theirs), os.close(ours)
    assert 'epoch 1/2' in text and 'above' in text and 'TextIOWrapper' in text
