"""The config of a probe."""

import os
from pathlib import Path

from mmengine.config import Config

from soco_mm.checkpoint import read_checkpoint
from soco_mm.checkpoint.model_config import model_of, says_model
from soco_mm.checkpoint.pretrained import stretch_of
from soco_mm.engine.config import CONFIG_ROOT, load_config
from soco_mm.evaluation import backbone_config

LINEAR_PROBE = CONFIG_ROOT / 'benchmarks/linear_probe/resnet50_linear-100e_imagenet.py'
PRETRAINING = 'soco_r50_fpn_100e'


def probe_config(
    checkpoint: str | Path,
    config: str | Path | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    epochs: int | None = None,
    lr: float | None = None,
) -> Config:
    """The paper's linear probe, for the backbone of a checkpoint.

    Args:
        checkpoint (str | Path): A checkpoint of a pretraining, or exported
            weights.
        config (str | Path, optional): The config of the pretraining.
            Defaults to None: what the checkpoint says, else the paper's
            R50-FPN.
        batch_size (int, optional): Images a step. Defaults to None, 256, and
            64 where nothing is trained.
        workers (int, optional): Processes that load images. Defaults to None,
            one a core.
        epochs (int, optional): Length of the training; the steps of the
            learning rate move with it. Defaults to None, 100.
        lr (float, optional): The learning rate for 256 images. Defaults to
            None, 30.

    Returns:
        Config: For :func:`linear_probe` and :func:`knn_probe`.

    Raises:
        UsageError: If there is no such checkpoint or config.
        SoCoError: If the checkpoint cannot be read.
    """
    cfg = Config.fromfile(LINEAR_PROBE)
    cfg.model.backbone = backbone_config(pretrained_model(checkpoint, config))
    if workers is None:
        workers = len(os.sched_getaffinity(0))
    stretch = stretch_of(read_checkpoint(checkpoint))
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        if stretch is not None:
            loader.dataset.pipeline[0].stretch = stretch
        loader.batch_size = batch_size or loader.batch_size
        loader.num_workers = workers
        loader.persistent_workers = workers > 0
    if epochs is not None:
        (steps,) = cfg.param_scheduler
        steps.milestones = [
            round(epochs * milestone / cfg.train_cfg.max_epochs)
            for milestone in steps.milestones
        ]
        cfg.train_cfg.max_epochs = epochs
    if lr is not None:
        cfg.optim_wrapper.optimizer.lr = lr
    return cfg


def pretrained_model(
    checkpoint: str | Path, config: str | Path | None = None
) -> Config:
    """The ``model`` of the config that a checkpoint was pretrained with.

    Args:
        checkpoint (str | Path): A checkpoint of a pretraining, or exported
            weights.
        config (str | Path, optional): The config. Defaults to None.

    Returns:
        Config: That of the config, else what the checkpoint holds, else the
        paper's R50-FPN.

    Raises:
        UsageError: If there is no such checkpoint or config.
        SoCoError: If the checkpoint cannot be read.
    """
    read = read_checkpoint(checkpoint)
    if config is None and says_model(read):
        return model_of(read, checkpoint, ('backbone',))
    return load_config(config or PRETRAINING).model
