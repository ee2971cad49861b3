"""Kill a training at random, resume it, and compare it with one that ran through.

    python tools/analysis_tools/kill_training.py kills --kills 1000
    python tools/analysis_tools/kill_training.py memory

A small training with what makes resuming hard: dropout, batch norm, a target network,
AdamW, a schedule in steps that ends within an epoch, loaders with and without worker
processes. Each life begins in a fork of this process, which has imported everything,
and ends by SIGKILL after a random time: while it starts, loads a checkpoint, takes a
step or writes one. The result is printed as JSON.
"""

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch
import torch._inductor  # of deterministic algorithms
from mmengine.config import Config, config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import distributed, nn
from torch.utils.data import Dataset

from soco_mm.datasets.sampler import sample_rng
from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.config import load_config
from soco_mm.engine.hooks.checkpoint_hook import AtomicCheckpointHook, CheckpointTimes
from soco_mm.engine.training import train_model
from soco_mm.models import CosineEMA
from soco_mm.registry import DATASETS, HOOKS, MODELS
from soco_mm.utils.finite import named_tensors

IMAGES, BATCH, STEP = 52, 4, 0.1  # seconds
EVERY = 0.25  # seconds between two checkpoints
# What is compared; times differ, of course.
COMPARED = ('state_dict', 'optimizer')


@DATASETS.register_module()
class RandomVectors(Dataset):
    """Vectors that depend on the epoch and the image, as views do."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, index: int) -> dict:
        rng = sample_rng(self.seed, *divmod(index, IMAGES))
        return dict(x=torch.from_numpy(rng.normal(size=(8, 4, 4))).float())


@MODELS.register_module()
class LittleModel(BaseModel):
    """A network, its target, and all that has a state."""

    def __init__(self, norm: str = 'batch') -> None:
        super().__init__()
        layer = nn.BatchNorm2d(16) if norm == 'batch' else nn.GroupNorm(4, 16)
        drop = nn.Dropout(0.3 if norm == 'batch' else 0.0)
        self.net = nn.Sequential(nn.Conv2d(8, 16, 3), layer, nn.ReLU(), drop)
        self.target_net = CosineEMA(self.net, 0.9)

    def reset_target(self) -> None:
        self.target_net.reset(self.net)

    def update_target(self, step: int, max_steps: int) -> None:
        self.target_net.update_parameters(self.net, step, max_steps)

    def forward(self, x: torch.Tensor, mode: str) -> dict:
        with torch.no_grad():
            target = self.target_net(x.flip(-1))
        return dict(loss=(self.net(x) - target - 1).square().mean())


@HOOKS.register_module()
class SlowStep(Hook):
    """Steps of a given time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        time.sleep(self.seconds)


class OftenTimes(CheckpointTimes):
    """Where steps take no time, writing may take most of it."""

    SHARE = 1e9


@HOOKS.register_module()
class OftenCheckpointHook(AtomicCheckpointHook):
    """Checkpoints within epochs every few steps."""

    TIMES = OftenTimes


def make_config(steps: int, accumulated: int, seconds: float, norm: str) -> Config:
    """The config of the training.

    Args:
        steps (int): Its length in optimiser steps.
        accumulated (int): Iterations of a step.
        seconds (float): Least time of an iteration.
        norm (str): ``batch``, with dropout, or ``group``.
    """
    cfg = load_config('soco_r50_fpn_100e')
    cfg.model = dict(type='LittleModel', norm=norm)
    cfg.train_dataloader = dict(
        batch_size=BATCH,
        num_workers=0,
        drop_last=True,
        sampler=dict(type='EpochSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
        dataset=dict(type='RandomVectors'),
    )
    cfg.optim_wrapper = dict(
        type='OptimWrapper',
        accumulative_counts=accumulated,
        optimizer=dict(type='AdamW', lr=1e-2),
        clip_grad=dict(max_norm=1.0),
    )
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, end=5),
        dict(
            type='CosineAnnealingLR',
            by_epoch=False,
            begin=5,
            end=steps,
            T_max=steps - 5,
        ),
    ]
    cfg.train_cfg = dict(type='StepTrainLoop', max_steps=steps)
    cfg.default_hooks.checkpoint = dict(
        type='OftenCheckpointHook', interval=1, every=EVERY, max_keep_ckpts=2
    )
    cfg.custom_hooks = [*cfg.custom_hooks, dict(type='SlowStep', seconds=seconds)]
    cfg.log_level = 'ERROR'
    cfg.randomness = dict(seed=0, deterministic=True)
    cfg.env_cfg.mp_cfg = dict(mp_start_method='fork', opencv_num_threads=0)
    return cfg


def warm_up() -> None:
    """Do what takes seconds in each life, and has nothing to do with resuming."""
    # MMEngine formats the text of a config wherever it is saved.
    config.FormatCode = lambda text, **style: (text, True)


def start(cfg: Config, folder: Path, processes: int) -> list[int]:
    """Start the processes of a training as forks of this one.

    Args:
        cfg (Config): The config.
        folder (Path): The folder of the run; it is resumed.
        processes (int): How many.

    Returns:
        list[int]: Their ids.
    """
    store = tempfile.mktemp(dir=folder.parent)  # one for each life
    ids = []
    for rank in range(processes):
        if number := os.fork():
            ids.append(number)
            continue
        code = 1
        try:
            os.setpgid(0, 0)
            log = os.open(folder.parent / f'log_{rank}.txt', os.O_CREAT | os.O_WRONLY)
            os.dup2(log, 1)
            os.dup2(log, 2)
            torch.set_num_threads(1)
            if processes > 1:
                os.environ['LOCAL_RANK'] = str(rank)
                distributed.init_process_group(
                    'gloo', f'file://{store}', rank=rank, world_size=processes
                )
            launcher = 'pytorch' if processes > 1 else 'none'
            train_model(cfg, folder, resume=True, launcher=launcher)
            code = 0
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return ids


def wait(ids: list[int], seconds: float | None = None) -> bool:
    """Wait for the end of a life.

    Args:
        ids (list[int]): Its processes.
        seconds (float, optional): Kill them after this time.

    Returns:
        bool: Whether they were killed; else they have finished.

    Raises:
        RuntimeError: If one has failed.
    """
    until = time.monotonic() + (float('inf') if seconds is None else seconds)
    codes: dict[int, int] = {}
    while len(codes) < len(ids) and time.monotonic() < until:
        for each in set(ids) - set(codes):
            found, status = os.waitpid(each, os.WNOHANG)
            if found:
                codes[each] = os.waitstatus_to_exitcode(status)
                if codes[each]:
                    raise RuntimeError(f'A process ended with {codes[each]}.')
        time.sleep(0.002)
    left = set(ids) - set(codes)
    for each in left:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each, signal.SIGKILL)  # and its loaders
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)  # before it has a group
    for each in left:
        os.waitpid(each, 0)
    return bool(left)


def compare(ours: Path, theirs: Path) -> dict:
    """Compare two checkpoints.

    Returns:
        dict: Number of ``tensors`` that were compared and of ``differing_bytes``;
        a loss of the history counts as its eight bytes.
    """
    ours, theirs = (torch.load(path, weights_only=True) for path in (ours, theirs))
    values = [
        dict(named_tensors({key: each[key] for key in COMPARED}))
        for each in (ours, theirs)
    ]
    differing = 0
    assert values[0].keys() == values[1].keys()
    for name, value in values[0].items():
        pair = [
            each.detach().contiguous().reshape(-1).view(torch.uint8)
            for each in (value, values[1][name])
        ]
        differing += int((pair[0] != pair[1]).sum())
    plain = [
        (each['param_schedulers'], each['meta']['iter']) for each in (ours, theirs)
    ]
    losses = [
        each['message_hub']['log_scalars']['train/loss'][0] for each in (ours, theirs)
    ]
    differing += 8 * sum(a != b for a, b in zip(*losses))
    differing += 8 * (plain[0] != plain[1]) + 8 * abs(len(losses[0]) - len(losses[1]))
    return dict(
        tensors=len(values[0]), losses=len(losses[0]), differing_bytes=differing
    )


def kill(
    kills: int,
    steps: int,
    accumulated: int = 1,
    processes: int = 1,
    seconds: float = STEP,
    most: float = 2.0,
    limit: float = float('inf'),
    seed: int = 0,
) -> dict:
    """Kill trainings until there were enough kills; resume each until it ends.

    Args:
        kills (int): How many.
        steps (int): Optimiser steps of a training.
        accumulated (int): Iterations of a step. Defaults to 1.
        processes (int): Processes of a training. Defaults to 1.
        seconds (float): Least time of an iteration.
        most (float): A life ends after a random time up to this one.
        limit (float): No more kills after this time, in seconds.
        seed (int): Of the times. Defaults to 0.

    Returns:
        dict: What happened.
    """
    rng, begun = random.Random(seed), time.monotonic()
    done, runs, from_within, total = (
        0,
        0,
        0,
        dict(tensors=0, losses=0, differing_bytes=0),
    )
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        wait(
            start(
                make_config(steps, accumulated, 0.0, 'batch'), root / 'whole', processes
            )
        )
        whole = latest_checkpoint(root / 'whole')
        while done < kills and time.monotonic() - begun < limit:
            run = root / f'run_{runs}'
            running = True
            while running:
                cfg = make_config(steps, accumulated, seconds, 'batch')
                cfg.train_dataloader.num_workers = int(rng.random() < 0.2)
                enough = done >= kills or time.monotonic() - begun >= limit
                last = latest_checkpoint(run)
                from_within += last is not None and last.name.startswith('iter')
                ids = start(cfg, run, processes)
                running = wait(ids, None if enough else rng.uniform(0, most))
                done += running
            runs += 1
            found = compare(latest_checkpoint(run), whole)
            total = {key: total[key] + found[key] for key in total}
            shutil.rmtree(run)
    return dict(
        kills=done,
        runs=runs,
        steps=steps,
        accumulated=accumulated,
        processes=processes,
        resumed_within_an_epoch=from_within,
        minutes=round((time.monotonic() - begun) / 60, 1),
        **total,
    )


class Memory(Hook):
    """The resident memory after some iterations, in MiB."""

    def __init__(self, path: Path) -> None:
        self.path, self.found = path, {}

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ) -> None:
        if (runner.iter + 1) % 200 == 0:
            pages = int(Path('/proc/self/statm').read_text().split()[1])
            self.found[runner.iter + 1] = round(
                pages * resource.getpagesize() / 2**20, 1
            )
            self.path.write_text(json.dumps(self.found))


def measure_memory(iterations: int) -> dict:
    """The memory of a training over its iterations, in MiB.

    Args:
        iterations (int): Its length.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'memory.json')
        HOOKS.register_module(name='Memory', module=lambda: Memory(path), force=True)
        cfg = make_config(iterations, 1, 0.0, 'batch')
        cfg.custom_hooks.append(dict(type='Memory'))
        wait(start(cfg, Path(folder, 'run'), 1))
        return json.loads(path.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'what', choices=['kills', 'memory'], help='what to measure, see above'
    )
    parser.add_argument(
        '--kills', type=int, default=1000, help='stop after so many (default: 1000)'
    )
    parser.add_argument(
        '--minutes',
        type=float,
        default=float('inf'),
        help='stop after so many minutes (default: none)',
    )
    parser.add_argument(
        '--steps',
        type=int,
        default=150,
        help='steps of the optimiser in a run (default: 150)',
    )
    parser.add_argument(
        '--accumulate',
        type=int,
        default=1,
        metavar='N',
        help='iterations of a step (default: 1)',
    )
    parser.add_argument(
        '--processes', type=int, default=1, help='processes of a run (default: 1)'
    )
    parser.add_argument(
        '--iterations',
        type=int,
        default=2000,
        help='iterations of the run whose memory is measured (default: 2000)',
    )
    parser.add_argument(
        '--longest',
        type=float,
        default=2.0,
        help='a run is killed within so many seconds, later on a loaded machine '
        '(default: 2)',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of the times of the kills (default: 0)'
    )
    args = parser.parse_args()
    warm_up()
    if args.what == 'memory':
        print(json.dumps(measure_memory(args.iterations)))
        return
    found = kill(
        args.kills,
        args.steps,
        args.accumulate,
        args.processes,
        most=args.longest,
        limit=60 * args.minutes,
        seed=args.seed,
    )
    print(json.dumps(found))
    sys.exit(found['differing_bytes'] > 0)


if __name__ == '__main__':
    main()
