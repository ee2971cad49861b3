"""An exported detector, trained on a data set."""

from collections.abc import Sequence
from pathlib import Path

from soco_mm.detectors.finetuning import FinetuneArguments, FinetunePlan
from soco_mm.detectors.pictures import draw_predictions
from soco_mm.detectors.training import (
    best_checkpoint,
    best_metrics,
    load_weights,
    train_detector,
)
from soco_mm.engine.vis_backend import log_to_tensorboard
from soco_mm.job import claim_run
from soco_mm.log import logger
from soco_mm.utils import atomic_write, exclusive, write_json
from soco_mm.utils.cores import loading_workers

from .results import FinetuneResult


def finetune(
    exported: str | Path | None,
    out: str | Path,
    *,
    train: str | Path | None = None,
    images: str | Path | None = None,
    val: str | Path | None = None,
    val_images: str | Path | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    scale: tuple | None = None,
    workers: int | None = None,
    scratch: bool | None = None,
    classes: Sequence[str] | None = None,
    seed: int | None = None,
    options: dict | None = None,
    resume: bool = False,
    overwrite: bool = False,
    tensorboard: bool = False,
    verbose: bool = False,
) -> FinetuneResult:
    """Train an exported detector on a data set.

    With ``resume``, an argument that is None keeps the value that the run was
    started with, see :func:`soco_mm.apis.pretrain.pretrain`. Without it,
    ``exported`` and ``train`` are needed.

    Args:
        exported (str | Path): The folder that ``soco-mm export`` has written.
        out (str | Path): The folder of this run.
        train (str | Path): The annotations of the training: COCO, YOLO or
            Pascal VOC, see :func:`soco_mm.coco.read_source`.
        images (str | Path, optional): The folder of their images. None where
            the layout says.
        val (str | Path, optional): The annotations of the evaluation. Their
            categories are matched to those of the training by their names;
            there may be fewer. None for those of the data set that ``train``
            names.
        val_images (str | Path, optional): The folder of their images.
            Defaults to None, ``images``.
        epochs (int, optional): Length of the training. Defaults to None, by
            the number of images, see :func:`choose_epochs`.
        batch_size (int, optional): Images per step. Defaults to None, 4, and no
            more than there are images.
        scale (tuple, optional): Largest long and short side of the images, in
            pixels. Defaults to None, as in the detector's config.
        workers (int, optional): Processes that load images. Defaults to None,
            one per core, 16 at most.
        scratch (bool, optional): Start from random weights, to measure the
            gain of the pretrained ones. Defaults to None, no.
        classes (Sequence[str], optional): Train and evaluate only these, in
            this order. Defaults to None, all categories of ``train``.
        seed (int, optional): Seed of all random numbers. Defaults to None, 0.
        options (dict, optional): Values of the config to set, by dotted key.
            Defaults to None.
        resume (bool): Continue a run that was stopped. Defaults to False.
        overwrite (bool): Delete what an earlier run left. Defaults to False.
        tensorboard (bool): Write scalars for TensorBoard too. Defaults to False.
        verbose (bool): Show MMEngine's log on the console, instead of a line of
            progress. Defaults to False.

    Returns:
        FinetuneResult: Paths of what was made.

    Raises:
        UsageError: If an argument is wrong or does not fit the run in ``out``.
        SoCoError: If the data cannot be used, or the weights do not fit.
    """
    out = Path(out)
    if workers is None:
        workers = loading_workers()
    given = FinetuneArguments(
        exported=exported,
        train=train,
        images=images,
        val=val,
        val_images=val_images,
        epochs=epochs,
        batch_size=batch_size,
        scale=scale,
        scratch=scratch,
        classes=classes,
        seed=seed,
        options=options,
    )
    given = given.complete(out, resume, workers)
    plan = FinetunePlan.make(given, out, workers, resume)
    if tensorboard:
        log_to_tensorboard(plan.cfg)
    with exclusive(out, 'a run'):
        changed = claim_run(out, plan.job(), resume, overwrite)
        made = FinetuneResult.of(out, plan.detector.name)
        if 'epochs' in changed:  # a run that may be finished becomes longer
            made.metrics.unlink(missing_ok=True)
        if made.metrics.is_file():
            logger.info(f'The run in {out} is finished')
            return made
        plan.write_data()
        runner = train_detector(plan.cfg, resume, quiet=not verbose)
        best = best_checkpoint(runner)
        atomic_write(made.checkpoint, best.read_bytes())
        load_weights(runner, best)
        draw_predictions(runner, plan.copies[1], made.picture)
        # Written last, since it marks the run as finished.
        write_json(made.metrics, best_metrics(made.scalars, runner.max_epochs))
        return made
