"""Training of a detector."""

import re
from contextlib import nullcontext
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from soco_mm.checkpoint import (
    check_finite,
    compare_tensors,
    read_checkpoint,
    state_dict_of,
)
from soco_mm.engine import build_runner
from soco_mm.engine.checkpoint_files import CHECKPOINT_DIR, latest_checkpoint
from soco_mm.engine.config import building
from soco_mm.engine.console import run_training
from soco_mm.engine.hooks.stop_hook import StopHook
from soco_mm.engine.initial_weights import safe_loading
from soco_mm.engine.out_of_memory import memory_named
from soco_mm.engine.quiet_log import prints_to_log
from soco_mm.engine.runtime import unwrap_model
from soco_mm.engine.stopping import signals_noted
from soco_mm.engine.vis_backend import read_lines
from soco_mm.utils import SoCoError


def train_detector(cfg: Config, resume: bool = False, quiet: bool = False) -> Runner:
    """Train and evaluate an MMDetection model.

    MMEngine drops pretrained weights that do not fit: see
    :func:`check_weights`.

    Args:
        cfg (Config): The config, with ``work_dir``; changed in place.
        resume (bool): Continue from the last checkpoint in the work dir if
            there is one. Defaults to False.
        quiet (bool): Show progress on the console, and write MMEngine's log
            only to its file. Defaults to False.

    Returns:
        Runner: The runner after its training.

    Raises:
        SoCoError: If the config cannot be built, an image turns out to be damaged
            or too small, or memory is not enough.
        Stopped: If a signal asks for it; what is done is in a checkpoint.
    """
    from mmdet.utils import register_all_modules

    import soco_mm.detectors.batches  # noqa: F401  the config's sampler

    register_all_modules(init_default_scope=False)
    last = latest_checkpoint(cfg.work_dir) if resume else None
    if last is not None:
        check_finite(read_checkpoint(last), last)
        cfg.update(resume=True, load_from=str(last))
    with DefaultScope.overwrite_default_scope('mmdet'):
        with building(), prints_to_log() if quiet else nullcontext():
            runner = build_runner(cfg, quiet)
            # MMEngine builds them, and their data, when they are read first.
            _ = runner.train_loop, runner.val_loop
            runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        try:
            with safe_loading(), signals_noted() as noted:
                runner.register_hook(StopHook(noted))
                with memory_named('Set a smaller --batch-size or --scale.'):
                    run_training(runner)
        except Exception as error:
            if reason := explain_failure(error):
                raise SoCoError(reason) from error
            raise
    return runner


def explain_failure(error: Exception) -> str | None:
    """What a user can do about a known error in a training; None if unknown."""
    # MMCV's assertion; a worker's trace of it has it in the last line.
    if found := re.findall('failed to load image: (.*)', str(error)):
        return (
            f'{found[-1]} is damaged. Fix it and continue with --resume, or '
            'take it out of the annotations and start again with '
            '--overwrite.'
        )
    # PyTorch's, of a batch norm.
    if 'more than 1 value per channel' in str(error):
        return (
            'The images are too small for the norm layers of the '
            'detector: a step of one image had a feature map of one '
            'pixel. Choose a larger --scale.'
        )
    return None


def check_weights(model: torch.nn.Module, path: str | Path) -> None:
    """Refuse pretrained weights if some of them would be dropped.

    Raises:
        SoCoError: If a tensor has no place in the model.
    """
    report = compare_tensors(
        model.state_dict(), state_dict_of(read_checkpoint(path), path)
    )
    differing = [
        name for part in report.parts.values() for name, _, _ in part.shape_differs
    ]
    if lost := report.unused + differing:
        raise SoCoError(
            f'{len(lost)} tensors of {path} do not fit the detector, for '
            f'example {lost[0]}. Export the checkpoint for this detector: '
            'soco-mm export CHECKPOINT --detector CONFIG --out FOLDER.'
        )


def best_checkpoint(runner: Runner) -> Path:
    """The checkpoint with the highest AP; the last one if nothing was detected."""
    best = runner.message_hub.runtime_info.get('best_ckpt')
    if best is None:
        return latest_checkpoint(runner.work_dir)
    # By its name: the folder of a run may be moved before it is resumed.
    return Path(runner.work_dir, CHECKPOINT_DIR, Path(best).name)


def load_weights(runner: Runner, path: Path) -> None:
    """Load a checkpoint of a training into its detector.

    Not by the Runner, whose EMAHook exchanges the weights if the run was resumed.
    """
    weights = state_dict_of(read_checkpoint(path), path)
    unwrap_model(runner.model).load_state_dict(weights)


def best_metrics(scalars: Path, epochs: int) -> dict:
    """The evaluation with the highest AP, from the logged scalars.

    Args:
        scalars (Path): The log, one JSON object per line.
        epochs (int): Length of the training.

    Returns:
        dict: Its ``epoch`` and metrics; AP is 0 where nothing was found.
    """
    rows = [each for each in read_lines(scalars) if 'coco/bbox_mAP' in each]
    # A resumed training may evaluate an epoch again, from another checkpoint.
    evaluations = {each['step']: each for each in rows}.values()
    nothing = {f'coco/bbox_mAP{end}': 0.0 for end in ('', '_50', '_75')}
    best = max(
        evaluations,
        key=lambda each: each['coco/bbox_mAP'] or 0.0,
        default=dict(step=epochs, **nothing),
    )
    return dict(
        epoch=best['step'],
        **{key: value for key, value in best.items() if key.startswith('coco/')},
    )
