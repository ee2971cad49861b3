"""The config of a probe."""

from pathlib import Path

from mmengine.config import Config

from soco_mm.checkpoint.libraries.architecture import pixel_statistics
from soco_mm.checkpoint.pretrained import Pretrained
from soco_mm.engine.config import CONFIG_ROOT, load_config
from soco_mm.utils.cores import loading_workers

from .backbone import backbone_config

LINEAR_PROBE = CONFIG_ROOT / 'benchmarks/linear_probe/resnet50_linear-100e_imagenet.py'
PRETRAINING = 'soco_r50_fpn_100e'


def read_backbone(
    checkpoint: str | Path, config: str | Path | None = None
) -> Pretrained:
    """Read a pretrained model, of which only the backbone is used.

    Args:
        checkpoint (str | Path): A checkpoint of a pretraining, or exported
            weights.
        config (str | Path, optional): The config of the pretraining.
            Defaults to None: what the checkpoint says, else the paper's
            R50-FPN.

    Returns:
        Pretrained: The model.

    Raises:
        UsageError: If there is no such checkpoint or config.
        SoCoError: If the checkpoint cannot be read.
    """
    return Pretrained.read(
        checkpoint,
        config and load_config(config),
        parts=('backbone',),
        fallback=load_config(PRETRAINING),
    )


def probe_config(
    pretrained: Pretrained,
    *,
    batch_size: int | None = None,
    workers: int | None = None,
    epochs: int | None = None,
    lr: float | None = None,
) -> Config:
    """The paper's linear probe, for the backbone of a pretrained model.

    Args:
        pretrained (Pretrained): The model.
        batch_size (int, optional): Images per step. Defaults to None, 256,
            and 64 where nothing is trained.
        workers (int, optional): Processes that load images. Defaults to None,
            one per core, 16 at most.
        epochs (int, optional): Length of the training; the steps of the
            learning rate move with it. Defaults to None, 100.
        lr (float, optional): The learning rate for 256 images. Defaults to
            None, 30.

    Returns:
        Config: For :func:`linear_probe` and :func:`knn_probe`.
    """
    cfg = load_config(LINEAR_PROBE)
    cfg.model.backbone = backbone_config(pretrained.model)
    pixels = pixel_statistics(pretrained.model)
    cfg.model.data_preprocessor = dict(
        mean=pixels['mean'],
        std=pixels['std'],
        # Its name for exchanging R and B: images are loaded as RGB.
        to_rgb=not pixels['bgr_to_rgb'],
    )
    if workers is None:
        workers = loading_workers()
    stretch = pretrained.stretch
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
