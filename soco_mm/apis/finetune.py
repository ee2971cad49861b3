import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
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
from soco_mm.coco import Annotations, decode_mask, write_annotations
from soco_mm.engine import build_runner, unwrap_model
from soco_mm.engine.config import building, naming, set_options
from soco_mm.utils import SoCoError, UsageError, atomic_write, write_json
from soco_mm.visualization import write_png
from soco_mm.visualization.detections import draw_detections, draw_objects

from .export import exported_config
from .finetune_config import choose_epochs, finetune_config, trains_masks
from .finetune_data import hash_of, read_data, short_hash
from .initial_weights import safe_loading
from .job import begun_arguments, claim, written_options
from .train import latest_checkpoint
from .trial import try_finetuning

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
SHOWN = 6  # images in a picture
MAX_DETECTIONS = 100  # of an image, in COCO's AP


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


def train_detector(cfg: Config, resume: bool = False) -> Runner:
    """Train and evaluate an MMDetection model.

    MMEngine drops pretrained weights that do not fit: see
    :func:`check_weights`.

    Args:
        cfg (Config): The config, with ``work_dir``; changed in place.
        resume (bool): Continue from the last checkpoint in the work dir if
            there is one. Defaults to False.

    Returns:
        Runner: The runner after its training.

    Raises:
        SoCoError: If the config cannot be built, or an image turns out to be
            damaged or too small.
    """
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    last = latest_checkpoint(cfg.work_dir) if resume else None
    if last is not None:
        check_finite(read_checkpoint(last), last)
        cfg.update(resume=True, load_from=str(last))
    with DefaultScope.overwrite_default_scope('mmdet'):
        with building():
            runner = build_runner(cfg)
            # MMEngine builds them, and their data, when they are read first.
            _ = runner.train_loop, runner.val_loop
            runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        try:
            with safe_loading():
                runner.train()
        except Exception as error:
            if reason := explain(error):
                raise SoCoError(reason) from error
            raise
    return runner


def explain(error: Exception) -> str | None:
    """What a user can fix of an error in a training, if it is known."""
    # MMCV's assertion; a worker's trace of it has it in the last line.
    if found := re.findall('failed to load image: (.*)', str(error)):
        return (
            f'{found[-1]} is damaged. Fix it and go on with --resume, or '
            'take it out of the annotations and start anew with '
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
    """Refuse pretrained weights of which a part would be dropped.

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


def describe(cfg: Config, train: Annotations, val: Annotations) -> str:
    """What will be trained, in words."""
    masks = ''
    if 'segm' in cfg.val_evaluator.metric:
        masks = ' with masks'
    elif train.masks or val.masks:
        reason = 'the detector has no mask head'
        if train.masks != val.masks:
            without = val if train.masks else train
            reason = f'there are none in {without.path}'
        masks = f' by their boxes alone ({reason})'
    left_out = len(train.images) - len(train.boxes)
    some = f' ({left_out} more have none and are left out)' * bool(left_out)
    names = ', '.join(train.classes[:5]) + ', ...' * (len(train.classes) > 5)
    start = 'pretrained weights' if cfg.load_from else 'random weights'
    return (
        f'Training {cfg.model.type} on {len(train.boxes)} images with '
        f'{train.num_boxes} objects{masks}{some}, {len(train.classes)} '
        f'classes ({names}); {cfg.train_cfg.max_epochs} epochs, '
        f'{cfg.train_dataloader.batch_size} images a step, from {start}; '
        f'evaluated on {len(val.images)} images{shared(train, val)}'
    )


def describe_account(split: str, annotations: Annotations, drawn: Path) -> list[str]:
    """What of a file was left out or changed, a line each.

    Args:
        split (str): What it is for, train or val.
        annotations (Annotations): What is in the file.
        drawn (Path): The picture of annotated images, to look at.

    Returns:
        list[str]: Nothing if there is nothing to say.
    """
    lines = [f'  {line}' for line in annotations.account.lines()]
    if absent := annotations.absent:
        lines.append(f'  classes without a category: {", ".join(absent)}')
    if turned := annotations.turned:
        lines.append(
            f'  {len(turned)} photos are turned or mirrored by EXIF, and their'
            ' sizes do not tell whether the boxes are of the photo as it is '
            f'shown (for example {annotations.images[turned[0]]}). Look at '
            f'{drawn}: where boxes lie beside their objects, remove the '
            'orientation from the files'
        )
    crowded = sum(
        max(Counter(label for *_, label in boxes).values()) > MAX_DETECTIONS
        for boxes in annotations.boxes.values()
    )
    if crowded:
        lines.append(
            f'  {crowded} images have more than {MAX_DETECTIONS} objects of '
            "a class; COCO's AP counts so many detections of an image alone, "
            'and most detectors make no more'
        )
    return [f'{split}, {annotations.path}:', *lines] if lines else []


def draw_annotations(train: Annotations, val: Annotations) -> np.ndarray:
    """Draw some annotated images, those first that EXIF may have spoilt."""
    samples = []
    for each in (train, val):
        picked = pick(list(each.boxes), SHOWN)
        turned = [key for key in each.turned if key in each.boxes]
        for key in [*turned, *picked][:SHOWN]:
            samples.append(
                dict(path=each.root / each.images[key], boxes=each.boxes[key])
            )
    return draw_objects(samples, train.classes)


def pick(ids: list, number: int) -> list:
    """Some of many, evenly."""
    return ids[:: max(1, len(ids) // number)][:number]


def shared(train: Annotations, val: Annotations) -> str:
    """A sentence on images that are trained with and evaluated on."""
    trained, evaluated = (
        {os.path.realpath(each.root / each.images[key]) for key in keys}
        for each, keys in ((train, train.boxes), (val, val.images))
    )
    if not trained & evaluated:
        return ''
    return (
        f'. {len(trained & evaluated)} of them are trained with too, '
        'which makes the metrics too good'
    )


def best_metrics(scalars: Path, epochs: int) -> dict:
    """The evaluation with the highest AP, out of the logged scalars.

    Args:
        scalars (Path): What was logged, a JSON line each.
        epochs (int): Length of the training.

    Returns:
        dict: Its ``epoch`` and metrics; AP is 0 where nothing was found.
    """
    lines = scalars.read_text().splitlines()
    evaluations = [each for each in map(json.loads, lines) if 'coco/bbox_mAP' in each]
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


@torch.no_grad()
def draw_predictions(
    runner: Runner, val: Annotations, path: Path, number: int = SHOWN
) -> None:
    """Draw annotated and predicted objects of some images side by side.

    Args:
        runner (Runner): A runner with the trained detector.
        val (Annotations): What it is evaluated on.
        path (Path): The PNG file to write.
        number (int): Of how many images, evenly picked. Defaults to 6.
    """
    dataset = runner.val_dataloader.dataset
    model = unwrap_model(runner.model).eval()
    picked = pick(list(val.boxes), number)
    indices = {
        dataset.get_data_info(index)['img_id']: index for index in range(len(dataset))
    }
    samples = []
    for image_id in picked:
        batch = dataset[indices[image_id]]
        batch = dict(inputs=[batch['inputs']], data_samples=[batch['data_samples']])
        found = model.test_step(batch)[0].pred_instances.cpu()
        sample = dict(
            path=val.root / val.images[image_id],
            boxes=val.boxes[image_id],
            found=found.bboxes.numpy(),
            scores=found.scores.numpy(),
            labels=found.labels.numpy(),
        )
        if 'masks' in found:
            info = dataset.get_data_info(indices[image_id])
            sample.update(
                masks=[
                    decode_mask(each['mask'], info['height'], info['width'])
                    for each in info['instances']
                    if not each['ignore_flag']
                ],
                found_masks=found.masks.numpy(),
            )
        samples.append(sample)
    write_png(path, draw_detections(samples, val.classes))
