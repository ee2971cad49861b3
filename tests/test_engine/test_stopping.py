"""Trainings that are asked to stop, and processes that are killed."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import small
import torch
from commands import ROOT, call, free_port
from mmengine.hooks import Hook

from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.stopping import SIGNALS, signals_noted
from soco_mm.engine.training import train_model
from soco_mm.errors import SoCoError, Stopped
from soco_mm.registry import HOOKS

EPOCHS = {'train_cfg.max_epochs': 3}  # of two iterations


@HOOKS.register_module()
class SignalHook(Hook):
    """Send this process a signal in an iteration."""

    def __init__(self, number, iteration):
        self.number, self.iteration = number, iteration

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(
    ('number', 'iteration', 'saved'),
    [
        (signal.SIGTERM, 2, 'iter_3.pth'),
        (signal.SIGUSR1, 3, 'epoch_2.pth'),
        (signal.SIGTERM, 5, 'epoch_3.pth'),
    ],
)
def test_a_training_saves_when_it_is_asked_to_stop_and_goes_on_to_the_bit(
    store, demo_images, tmp_path, number, iteration, saved
):
    cfg = small.training(store, demo_images, EPOCHS)
    undisturbed = torch.load(train_model(cfg, tmp_path / 'undisturbed'))
    handlers = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1)]
    hooks = [dict(type='SignalHook', number=int(number), iteration=iteration)]
    with pytest.raises(Stopped, match=f'Stopped by {number.name}') as stop:
        train_model(small.training(store, demo_images, EPOCHS, hooks), tmp_path / 'run')
    assert stop.value.exit_code == 75
    assert saved in str(stop.value) and '--resume' in str(stop.value)
    assert latest_checkpoint(tmp_path / 'run').name == saved
    assert handlers == [
        signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1)
    ]
    cfg = small.training(store, demo_images, EPOCHS)
    resumed = torch.load(train_model(cfg, tmp_path / 'run', resume=True))
    for name, value in undisturbed['state_dict'].items():
        assert torch.equal(resumed['state_dict'][name], value), name


def test_one_of_several_processes_ends_with_its_own_exit_code(monkeypatch):
    """A launcher sends SIGTERM as soon as another one has ended."""
    monkeypatch.setattr('soco_mm.engine.stopping.get_world_size', lambda: 2)
    before = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        with pytest.raises(Stopped), signals_noted() as noted:
            os.kill(os.getpid(), signal.SIGTERM)
            assert noted == [signal.SIGTERM]
            raise Stopped('')
        # Not only noted: Python's handlers are gone when it ends, this is not.
        assert {signal.getsignal(each) for each in SIGNALS} == {signal.SIG_IGN}
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_without_checkpoints_it_stops_and_is_not_started_again(
    store, demo_images, tmp_path
):
    hooks = [dict(type='SignalHook', number=int(signal.SIGTERM), iteration=1)]
    cfg = small.training(store, demo_images, EPOCHS, hooks)
    cfg.default_hooks.checkpoint = None
    with pytest.raises(SoCoError, match='SIGTERM. There is no checkpoint') as stop:
        train_model(cfg, tmp_path)
    assert stop.value.exit_code == 1


def test_with_accumulation_it_stops_after_a_step_of_the_optimiser(
    store, demo_images, tmp_path
):
    options = EPOCHS | {
        'train_dataloader.batch_size': 1,
        'optim_wrapper.accumulative_counts': 2,
    }
    hooks = [dict(type='SignalHook', number=int(signal.SIGTERM), iteration=4)]
    with pytest.raises(Stopped, match=r'iter_6\.pth'):
        train_model(
            small.training(store, demo_images, options, hooks), tmp_path / 'run'
        )


# The second node is missing; the first says when its handlers are set.
WAITING = """
import sys
from torch.distributed import run
from soco_mm.cli import launch
begin = run.run
run.run = lambda args: (print('waiting', flush=True), begin(args))
launch.main([*sys.argv[1:], '--nnodes=2', '--node_rank=0', '--nproc_per_node=1', 'x.py'])
"""


class Launched:
    """A training in two processes, as tools/dist_train.sh starts it."""

    def __init__(self, store, images, out):
        options = {
            'train_dataloader.dataset.data_root': images,
            'train_dataloader.dataset.proposals': store,
            'train_dataloader.batch_size': 2,
            'train_dataloader.num_workers': 0,
            'train_dataloader.persistent_workers': False,
            'train_cfg.max_epochs': 1000,
            **{
                f'train_dataloader.dataset.pipeline.1.views.{i}.size': 64
                for i in range(3)
            },
        }
        self.out = out
        self.process = subprocess.Popen(
            [
                *('bash', 'tools/dist_train.sh', small.SOCO, '2', '--work-dir', out),
                '--cfg-options',
                *[f'{key}={value}' for key, value in options.items()],
            ],
            cwd=ROOT,
            env=dict(
                os.environ,
                PYTHON=sys.executable,
                OMP_NUM_THREADS='1',
                PORT=str(free_port()),
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, name):
        """Wait until a file is there; the processes that train."""
        while not (self.out / name).exists():
            assert self.process.poll() is None, self.process.stderr.read()
            time.sleep(0.1)
        found = subprocess.run(
            ['pgrep', '-P', str(self.process.pid), '-f', 'tools/train.py'],
            capture_output=True,
            text=True,
        )
        return [int(each) for each in found.stdout.split()]

    def end(self):
        """What is said, and the exit code."""
        said = self.process.communicate(timeout=300)[1]
        return said, self.process.returncode


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_launcher_that_waits_for_other_nodes_is_stopped(number):
    started = subprocess.Popen(
        [sys.executable, '-c', WAITING, f'--master_port={free_port()}'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert started.stdout.readline() == 'waiting\n'
        started.send_signal(number)
        assert started.wait(60) == 128 + number
    finally:
        started.kill()


@pytest.mark.parametrize('script', ['dist_train.sh', 'dist_proposals.sh'])
def test_a_port_that_is_in_use_is_refused(script, tmp_path):
    with socket.socket() as other:
        other.bind(('', 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            ['bash', f'tools/{script}', 'soco_minimal', tmp_path / 'store', '2'],
            cwd=ROOT,
            env=dict(os.environ, PYTHON=sys.executable, PORT=str(port)),
            capture_output=True,
            text=True,
        )
    assert done.returncode == 1
    assert done.stderr == (
        f'ERROR: Port {port} cannot be opened (Address already in use). Set PORT to '
        'another one.\n'
    )
    assert not list(tmp_path.iterdir())


@pytest.fixture
def launched(store, demo_images, tmp_path):
    started = Launched(store, demo_images, tmp_path / 'run')
    yield started
    if started.process.poll() is None:
        started.process.kill()


@pytest.mark.slow
@pytest.mark.parametrize('to', ['launcher', 'process'])
def test_two_processes_stop_after_the_same_step(launched, to):
    processes = launched.wait_for('checkpoints/epoch_1.pth')
    assert len(processes) == 2
    whom = launched.process.pid if to == 'launcher' else processes[1]
    os.kill(whom, signal.SIGTERM)
    said, code = launched.end()
    assert code == 75, said
    assert 'Continue with the same command and --resume' in said
    assert 'Traceback' not in said and 'ERROR' not in said
    torch.load(latest_checkpoint(launched.out))


@pytest.mark.slow
def test_a_killed_process_ends_the_others_with_a_sentence(launched):
    processes = launched.wait_for('checkpoints/epoch_1.pth')
    os.kill(processes[1], signal.SIGKILL)
    said, code = launched.end()
    assert code == 1
    assert 'ERROR: Process 1 was killed (SIGKILL' in said and '--resume' in said
    assert 'Traceback' not in said, said
    with pytest.raises(ProcessLookupError):
        os.kill(processes[0], 0)


def test_slurm_requeues_a_training_that_was_asked_to_stop(tmp_path):
    """With stand-ins of its two commands, since a cluster is needed for them."""
    log = tmp_path / 'log'
    for name, code in (('srun', 75), ('scontrol', 0)):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {log}\nexit {code}\n')
        program.chmod(0o755)
    command = ['bash', 'tools/slurm_train.sh', 'gpu', 'job', 'config.py', 'out']
    path = f'{tmp_path}:{os.environ["PATH"]}'
    for restarts in ('', '1'):
        log.write_text('')
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=dict(
                os.environ, PATH=path, SLURM_JOB_ID='7', SLURM_RESTART_COUNT=restarts
            ),
        )
        assert done.returncode == 75
        srun, scontrol = log.read_text().splitlines()
        assert scontrol == 'scontrol requeue 7'
        assert srun.endswith('--resume') == bool(restarts)
    # A job that was cancelled is ending.
    (tmp_path / 'squeue').write_text('#!/bin/sh\necho COMPLETING\n')
    (tmp_path / 'squeue').chmod(0o755)
    log.write_text('')
    environment = dict(os.environ, PATH=path, SLURM_JOB_ID='7')
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 75 and 'is not requeued' in done.stderr
    assert 'scontrol' not in log.read_text()


def test_a_truncated_checkpoint_is_not_resumed(store, demo_images, tmp_path, capsys):
    cfg = small.training(store, demo_images, {'train_cfg.max_epochs': 1})
    path = train_model(cfg, tmp_path / 'run')
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    cfg.dump(tmp_path / 'config.py')
    command = [tmp_path / 'config.py', '--work-dir', tmp_path / 'run', '--resume']
    done = call(capsys, *command, tool='tools/train.py')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f'ERROR: {path} is not a checkpoint, or is truncated.'
    )
