"""Build a training before anything is written, to see whether it works."""

import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner import Runner

from soco_mm.engine import unwrap_model
from soco_mm.engine.config import building
from soco_mm.engine.init_weights import match_init_weights
from soco_mm.engine.initial_weights import match_initial_weights
from soco_mm.engine.loops import accumulation_of
from soco_mm.engine.runtime import build_runner
from soco_mm.proposals import Proposals, ProposalStore
from soco_mm.proposals.listing import ImageSet
from soco_mm.utils import ImageError, SoCoError, read_heads

TRIED = 8  # images, of which one should be readable


def build_trial(cfg: Config) -> Runner:
    """Build a whole training in a temporary folder, to see whether it works.

    Nothing is loaded, logged or kept.

    Args:
        cfg (Config): The config, with existing data sets; not changed.

    Returns:
        Runner: The runner.

    Raises:
        SoCoError: If something cannot be built.
    """
    trial = copy.deepcopy(cfg)
    trial.update(load_from=None, resume=False)
    trial.pop('experiment_name', None)
    with tempfile.TemporaryDirectory() as folder, quiet(), building():
        trial.work_dir = folder
        trial.get('visualizer', {}).pop('save_dir', None)
        runner = build_runner(trial)
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        # MMEngine builds them, and their data, when they are read first.
        _ = runner.train_loop
        if trial.get('val_cfg'):
            _ = runner.val_loop
        if runner.param_schedulers is not None:
            runner.build_param_scheduler(runner.param_schedulers)
        return runner


@contextmanager
def naming(options: dict[str, Any]) -> Iterator[None]:
    """Name the options that were set if a config cannot be built.

    Args:
        options (dict): Values by dotted key.

    Raises:
        SoCoError: The error that was raised, followed by the options.
    """
    try:
        yield
    except SoCoError as error:
        if not options:
            raise
        given = ' '.join(f'{key}={value!r}' for key, value in options.items())
        text = str(error)
        raise type(error)(
            f'{text}{"" if text[-1] in ".?" else "."} '
            f'Check what --cfg-options sets: {given}'
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Silence output that the training itself will print again."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        # pycocotools prints.
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def try_pretraining(
    cfg: Config, images: ImageSet, options: dict[str, Any] | None = None
) -> None:
    """Build a pretraining on some of its images, and load one of them.

    Args:
        cfg (Config): The config, with batches that the images fill; not
            changed.
        images (ImageSet): The images, of which no proposals are needed.
        options (dict, optional): Values of the config that were set, by dotted
            key; errors that they may cause name them. Defaults to None.

    Raises:
        SoCoError: If something cannot be built, or an image cannot be made
            into views.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = copy.deepcopy(cfg)
        loader = trial.train_dataloader
        accumulated = accumulation_of(trial.optim_wrapper)
        paths = images.paths[: 2 * loader.batch_size * accumulated]
        heads = list(read_heads(images.root, paths[:TRIED]))
        readable = [not isinstance(head, ImageError) for head in heads]
        sizes = [
            (1, 1) if isinstance(head, ImageError) else head.size for head in heads
        ] + [(1, 1)] * len(paths)
        ProposalStore.write(
            folder + '/store',
            dict(generator={}),
            [
                Proposals(path, np.float32([[0, 0, *size]]), size, 0)
                for path, size in zip(paths, sizes)
            ],
        )
        loader.dataset.update(data_root=images.root, proposals=folder + '/store')
        loader.dataset.pop('num_images', None)
        options = options or {}
        with naming(options):
            runner = build_trial(trial)
        # Which weights fit depends on the model alone.
        of_model = {k: v for k, v in options.items() if k.startswith('model.')}
        with naming(of_model), quiet():
            match_initial_weights(trial, unwrap_model(runner.model))
            match_init_weights(trial, unwrap_model(runner.model))
        # If no image can be read, making the proposals will say why.
        index = readable.index(True) if any(readable) else None
        with naming(options):
            load_sample(runner, index)


def load_sample(runner: Runner, index: int | None) -> None:
    """Load a sample, as a worker process does.

    Raises:
        SoCoError: If the pipeline fails on it for another reason than an
            unreadable image.
    """
    if index is None:
        return
    dataset = runner.train_dataloader.dataset
    with quiet(), building('a data pipeline'):
        try:
            runner.train_dataloader.collate_fn([dataset[index]])
        except (ImageError, SoCoError):
            pass
