"""Measure the quality of frozen features."""

from pathlib import Path
from typing import Any

from soco_mm.coco import has_splits
from soco_mm.evaluation.probe_config import probe_config, read_backbone
from soco_mm.evaluation.probes import ProbeResult, knn_probe, linear_probe
from soco_mm.utils import UsageError, did_you_mean

WORK_DIR = 'work_dirs/linear_probe'


def probe(
    checkpoint: str | Path,
    train: str | Path,
    *,
    val: str | Path | None = None,
    images: str | Path | None = None,
    val_images: str | Path | None = None,
    method: str = 'knn',
    config: str | Path | None = None,
    k: int = 20,
    epochs: int | None = None,
    lr: float | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> ProbeResult:
    """Measure the quality of a backbone's frozen features.

    Args:
        checkpoint (str | Path): A checkpoint of a pretraining, or exported
            weights.
        train (str | Path): The labelled images, one folder per class; or
            annotations (COCO, YOLO, Pascal VOC), whose objects are
            classified.
        val (str | Path, optional): The images to classify, in folders of the
            same names, or annotations. Defaults to None, those of the data
            set that ``train`` names.
        images (str | Path, optional): The folder of the images of
            annotations. Defaults to None, where the layout says.
        val_images (str | Path, optional): The same for ``val``. Defaults to
            None, see :func:`soco_mm.coco.images_of_val`.
        method (str): ``knn``, where the nearest training images vote, or
            ``linear``, the paper's linear probe. Defaults to ``knn``.
        config (str | Path, optional): The config of the pretraining, or its
            name. Defaults to None: what the checkpoint says, else the paper's
            R50-FPN.
        k (int): knn: how many vote. Defaults to 20.
        epochs (int, optional): linear: length of the training. Defaults to
            None, 100.
        lr (float, optional): linear: the learning rate for 256 images.
            Defaults to None, 30.
        batch_size (int, optional): Images per step. Defaults to None, 256,
            and 64 where nothing is trained.
        workers (int, optional): Processes that load images. Defaults to None,
            one per core, 16 at most.
        out (str | Path, optional): The folder of the result. Defaults to
            None: not written for knn, ``work_dirs/linear_probe`` for linear.
        resume (bool): linear: continue from the last checkpoint in ``out``, if there
            is one. Defaults to False.

    Returns:
        ProbeResult: The accuracies.

    Raises:
        UsageError: If an argument is wrong, or the data are not as they
            should be.
        SoCoError: If the checkpoint or an image cannot be used.
    """
    if method not in ('knn', 'linear'):
        meant = did_you_mean(method, ('knn', 'linear'))
        raise UsageError(f'There is no method {method}.{meant} Choose knn or linear.')
    if val is None and not has_splits(train):
        raise UsageError(f'{train} does not say what to classify. Give it with --val.')
    cfg = probe_config(
        read_backbone(checkpoint, config),
        batch_size=batch_size,
        workers=workers,
        epochs=epochs,
        lr=lr,
    )
    folders: dict[str, Any] = dict(images=images, val_images=val_images)
    if method == 'knn':
        return knn_probe(cfg, checkpoint, train, val, k=k, out=out, **folders)
    return linear_probe(
        cfg, checkpoint, out or WORK_DIR, train, val, resume=resume, **folders
    )
