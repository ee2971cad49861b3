import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from soco_mm.coco import write_annotations
from soco_mm.detectors.data import hash_of, read_data, short_hash
from soco_mm.detectors.finetune_config import choose_epochs, finetune_config
from soco_mm.detectors.fit import exported_config
from soco_mm.detectors.pictures import draw_annotations, draw_predictions
from soco_mm.detectors.pipelines import trains_masks
from soco_mm.detectors.summary import describe, describe_account
from soco_mm.detectors.training import best_metrics, check_weights, train_detector
from soco_mm.detectors.trial import try_finetuning
from soco_mm.engine import unwrap_model
from soco_mm.engine.config import set_options
from soco_mm.engine.hooks.checkpoint_hook import latest_checkpoint
from soco_mm.engine.initial_weights import safe_loading
from soco_mm.engine.job import begun_arguments, claim, written_options
from soco_mm.engine.trial import naming
from soco_mm.utils import UsageError, atomic_write, write_json
from soco_mm.visualization import write_png

BATCH_SIZE = 4
METRICS = 'metrics.json'
ANNOTATIONS = 'annotations'
DRAWN = 'annotated.png'
PICTURE = 'predictions.png'
BEST = 'best.pth'
# Of what a config is computed, so that it cannot be set afterwards.
ARGUMENTS = {
    'train_dataloader.batch_size': '--batch-size',
    'train_cfg.max_epochs': '--epochs',
    'randomness.seed': '--seed',
    'work_dir': '--out',
    'visualizer.save_dir': '--out',
    'resume': '--resume',
    'launcher': "MMDetection's own tools/dist_train.sh",
}


def finetune(
    exported: str | Path | None,
    train: str | Path | None,
    images: str | Path | None,
    val: str | Path | None,
    out: str | Path,
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
) -> dict:
    """Train an exported detector on a data set.

    With ``resume`` whatever is None is as the run was begun with, see
    :func:`soco_mm.apis.pretrain.pretrain`; ``exported`` and ``train`` are
    needed otherwise.

    Args:
        exported (str | Path): The folder that ``soco-mm export`` has written.
        train (str | Path): The annotations of the training: COCO, YOLO or
            Pascal VOC, see :func:`soco_mm.coco.read_source`.
        images (str | Path, optional): The folder of their images. None where
            the layout says.
        val (str | Path, optional): The annotations of the evaluation. Their
            categories are matched to those of the training by their names;
            there may be fewer. None for those of the data set that ``train``
            names.
        out (str | Path): The folder of this run.
        val_images (str | Path, optional): The folder of their images.
            Defaults to None, ``images``.
        epochs (int, optional): Length of the training. Defaults to None, by
            the number of images, see :func:`choose_epochs`.
        batch_size (int, optional): Images a step. Defaults to None, 4, and no
            more than there are images.
        scale (tuple, optional): Largest long and short side of the images, in
            pixels. Defaults to None, as in the detector's config.
        workers (int, optional): Processes that load images. Defaults to None,
            one a core.
        scratch (bool, optional): Start from random weights, to see what the
            pretrained ones are worth. Defaults to None, no.
        classes (Sequence[str], optional): Train and evaluate these alone, in
            this order. Defaults to None, all categories of ``train``.
        seed (int, optional): Seed of all random numbers. Defaults to None, 0.
        options (dict, optional): Values of the config to set, by dotted key.
            Defaults to None.
        resume (bool): Continue a run that was stopped. Defaults to False.
        overwrite (bool): Delete what an earlier run left. Defaults to False.

    Returns:
        dict: Paths of what was made, by name.

    Raises:
        UsageError: If an argument is wrong, or ``out`` holds another job.
        SoCoError: If the data cannot be used, or the weights do not fit.
    """
    out = Path(out)
    if resume:
        begun = begun_arguments(
            out,
            dict(
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
            ),
        )
        (
            exported,
            train,
            images,
            val,
            val_images,
            epochs,
            batch_size,
            scale,
            scratch,
            classes,
            seed,
            options,
        ) = begun.values()
    if exported is None or train is None:
        raise UsageError(
            'Name the folder of the exported detector and --data'
            + (f': there is no run in {out} to resume.' if resume else '.')
        )
    given = {
        name: value and os.path.abspath(value)
        for name, value in dict(
            train=train, images=images, val=val, val_images=val_images
        ).items()
    }
    scratch, seed, options = bool(scratch), seed or 0, options or {}
    if workers is None:
        workers = len(os.sched_getaffinity(0))
    check_arguments(seed, workers, options)
    detector = config_of(exported)
    sources = read_data(train, images, val, val_images, classes, trains_masks(detector))
    # What is read in training are completed copies.
    train, val = (
        replace(each, path=out / ANNOTATIONS / f'{name}.json')
        for name, each in sources.items()
    )
    number = len(train.boxes)
    epochs = epochs or choose_epochs(number)
    batch_size = min(batch_size or BATCH_SIZE, number)
    cfg = finetune_config(
        detector,
        train,
        val,
        epochs,
        batch_size,
        scale=scale,
        num_workers=workers,
        seed=seed,
    )
    if scratch:
        cfg.load_from = None
    set_options(cfg, options, ARGUMENTS)
    with naming(options):
        model = unwrap_model(try_finetuning(cfg, train, val).model)
    if cfg.load_from:
        check_weights(model, cfg.load_from)
    job = dict(
        exported=str(detector.parent),
        train=os.path.abspath(sources['train'].path),
        images=os.path.abspath(train.root),
        val=os.path.abspath(sources['val'].path),
        val_images=os.path.abspath(val.root),
        epochs=epochs,
        batch_size=batch_size,
        scale=scale and list(scale),
        scratch=scratch,
        classes=classes and list(classes),
        seed=seed,
        options=written_options(options),
        given=given,
        contents_of_train=hash_of(sources['train']),
        contents_of_val=hash_of(sources['val']),
        contents_of_weights=cfg.load_from and short_hash(cfg.load_from),
    )
    changed = claim(out, job, resume, overwrite)
    made = dict(
        checkpoint=out / BEST,
        config=out / Path(detector).name,
        metrics=out / METRICS,
        picture=out / PICTURE,
        scalars=out / 'vis_data' / 'scalars.json',
    )
    if 'epochs' in changed:  # a run that may be finished becomes longer
        made['metrics'].unlink(missing_ok=True)
    if made['metrics'].is_file():
        print(f'The run in {out} is finished', flush=True)
        return made
    write_annotations(train, empty=False)
    write_annotations(val)
    drawn = out / ANNOTATIONS / DRAWN
    write_png(drawn, draw_annotations(train, val))
    print(describe(cfg, train, val), flush=True)
    for name, each in sources.items():
        print('\n'.join(describe_account(name, each, drawn)), flush=True)

    cfg.work_dir = str(out)
    cfg.visualizer.save_dir = str(out)
    runner = train_detector(cfg, resume)
    # Where nothing was found, MMEngine calls none the best.
    best = runner.message_hub.runtime_info.get('best_ckpt')
    best = Path(best or latest_checkpoint(out))
    atomic_write(made['checkpoint'], best.read_bytes())
    with safe_loading():
        runner.load_checkpoint(str(best))
    draw_predictions(runner, val, made['picture'])
    # The last, since a run is finished where it is.
    metrics = best_metrics(made['scalars'], epochs)
    write_json(made['metrics'], metrics)
    return made


def check_arguments(seed: int, workers: int, options: dict) -> None:
    """Refuse arguments that would fail later, or set half of something.

    Raises:
        UsageError: If there is one.
    """
    for key in options:
        if 'metainfo' in key.split('.'):
            raise UsageError(
                f'--cfg-options cannot set {key}: the classes of '
                'both files, the heads and the evaluation go '
                'together. Choose them with --classes.'
            )
    # NumPy's seeds are below 2**32, and each worker takes the next one.
    limit = 2**32 - workers
    if seed >= limit:
        raise UsageError(f'--seed is {seed}. Choose one below {limit}.')


def config_of(exported: str | Path) -> Path:
    """The detector's config in an exported folder.

    Raises:
        UsageError: If it is none.
    """
    name = exported_config(exported)
    config = Path(exported, name)
    if not name or not config.is_file():
        raise UsageError(
            f'{exported} is not a folder that soco-mm export has '
            'written. Export a checkpoint first: soco-mm export '
            'CHECKPOINT --out FOLDER.'
        )
    return config.resolve()
