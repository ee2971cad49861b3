"""The config with which a detector is trained on a COCO-format data set."""

import math
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config

from soco_mm.coco import Annotations
from soco_mm.detectors.pipelines import (
    check_pipeline,
    find_pipeline,
    set_batch_size,
    set_pipeline,
    uses_masks,
)
from soco_mm.utils import SoCoError, UsageError

COCO_IMAGES = 118_287  # in train2017, for which 12 epochs are the standard
EVALUATIONS = 10  # of a training
# All other parts of a detector are heads that distinguish classes.
NO_HEADS = ('backbone', 'neck', 'rpn_head', 'data_preprocessor')
# Of hooks: when they do something, in epochs.
HOOK_EPOCHS = ('begin_epoch', 'switch_epoch', 'num_last_epochs')


def choose_epochs(num_images: int) -> int:
    """Length of a training by the size of its data set.

    12 epochs on COCO; the number of iterations shrinks with the square root of
    the number of images, to no more than 100 epochs.

    Args:
        num_images (int): Number of images.

    Returns:
        int: Number of epochs.
    """
    epochs = round(12 * math.sqrt(COCO_IMAGES / num_images))
    return min(max(epochs, 12), 100)


def finetune_config(
    detector: str | Path,
    train: Annotations,
    val: Annotations,
    epochs: int,
    batch_size: int,
    scale: tuple | None = None,
    num_workers: int = 2,
    seed: int = 0,
) -> Config:
    """Fit a detector's config to a data set.

    Classes, data, evaluation and schedule are replaced; the model, its
    pipeline and its optimiser stay the detector's. The learning rate follows
    the batch size linearly. Where the objects have no masks, the detector goes
    without its mask head.

    Args:
        detector (str | Path): The config of the detector.
        train (Annotations): The annotations to train on.
        val (Annotations): The annotations to evaluate on, of the same classes.
        epochs (int): Length of the training.
        batch_size (int): Images per step.
        scale (tuple, optional): Largest long and short side of the images, in
            pixels. Defaults to None, as in the detector's config.
        num_workers (int): Processes that load images. Defaults to 2.
        seed (int): Seed of all random numbers. Defaults to 0.

    Returns:
        Config: The config.

    Raises:
        UsageError: If the detector's config cannot be read.
        SoCoError: If it has no classes, mixes images, or needs masks or
            semantic maps that do not exist.
    """
    try:
        cfg = Config.fromfile(detector)
        pipelines = [
            find_pipeline(cfg[loader].dataset)
            for loader in ('train_dataloader', 'val_dataloader')
        ]
        rate_of = cfg.get('auto_scale_lr', {}).get('base_batch_size', 16)
        model, optimizer = cfg.model, cfg.optim_wrapper.optimizer
    except Exception as error:  # a config is a program: anything can happen
        raise UsageError(
            f'The config {detector} of the detector cannot be read: {error}'
        ) from None
    check_pipeline(pipelines[0], detector)
    if not set_classes(model, len(train.classes)):
        raise SoCoError(
            f'The detector of {detector} has no num_classes in '
            'its heads; set it in its config.'
        )
    masks = train.masks and val.masks and uses_masks(pipelines[0])
    if uses_masks(pipelines[0]) and not masks:
        drop_mask_head(model, detector)
    cfg.resume = False
    switched = scale_hooks(cfg, epochs)
    for pipeline in switched:
        check_pipeline(pipeline, detector)
    for pipeline in (*pipelines, *switched):
        set_pipeline(pipeline, masks, scale)
    if scale:
        set_batch_size(model.get('data_preprocessor') or {}, scale)
    set_data(cfg, (train, val), pipelines, batch_size, num_workers)
    cfg.val_evaluator = cfg.test_evaluator = dict(
        type='CocoMetric',
        ann_file=os.path.abspath(val.path),
        metric=['bbox', 'segm'] if masks else 'bbox',
    )
    optimizer.lr *= batch_size / rate_of
    cfg.auto_scale_lr = dict(enable=False, base_batch_size=batch_size)
    iterations = math.ceil(len(train.boxes) / batch_size)
    set_loops(cfg, epochs, iterations, math.ceil(epochs / EVALUATIONS))
    cfg.randomness = dict(seed=seed)
    return cfg


def set_data(
    cfg: Config,
    data: Sequence[Annotations],
    pipelines: Sequence[list],
    batch_size: int,
    num_workers: int,
) -> None:
    """Set the data sets of a training and of its evaluation, in place."""
    datasets = [
        dict(
            type='CocoDataset',
            ann_file=os.path.abspath(each.path),
            data_prefix=dict(img=os.path.abspath(each.root)),
            metainfo=dict(classes=each.classes),
            pipeline=pipeline,
        )
        for each, pipeline in zip(data, pipelines)
    ]
    common = dict(num_workers=num_workers, persistent_workers=num_workers > 0)
    cfg.train_dataloader = dict(
        batch_size=batch_size,
        sampler=dict(type='DefaultSampler', shuffle=True),
        # It would drop the last batch of either aspect ratio even if it is full.
        batch_sampler=dict(type='soco_mm.AspectRatioBatches', drop_last=False),
        dataset=dict(filter_cfg=dict(filter_empty_gt=True, min_size=0), **datasets[0]),
        **common,
    )
    cfg.val_dataloader = cfg.test_dataloader = dict(
        batch_size=1,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(test_mode=True, **datasets[1]),
        **common,
    )


def scale_hooks(cfg: Config, epochs: int) -> list[list]:
    """Move what hooks do in an epoch to that of another length, in place.

    Args:
        cfg (Config): The config, with the detector's own length.
        epochs (int): The other length.

    Returns:
        list[list]: The pipelines to which hooks switch.
    """
    hooks = cfg.get('custom_hooks') or []
    if before := cfg.get('train_cfg', {}).get('max_epochs'):
        for hook in hooks:
            for key in HOOK_EPOCHS:
                if hook.get(key):
                    hook[key] = min(epochs, max(1, round(hook[key] * epochs / before)))
    return [each.switch_pipeline for each in hooks if each.get('switch_pipeline')]


def set_loops(cfg: Config, epochs: int, iterations: int, interval: int) -> None:
    """Set length, schedule, hooks and logs of a training, in place.

    Args:
        cfg (Config): The config.
        epochs (int): Length of the training.
        iterations (int): Iterations per epoch.
        interval (int): Epochs between two evaluations, and two checkpoints.
    """
    cfg.train_cfg = dict(
        type='soco_mm.EpochTrainLoop', max_epochs=epochs, val_interval=interval
    )
    cfg.val_cfg = dict(type='ValLoop')
    cfg.test_cfg = dict(type='TestLoop')
    cfg.param_scheduler = schedule(epochs * iterations)
    cfg.custom_imports = dict(
        imports=['soco_mm.engine', 'soco_mm.detectors.batches', *imports(cfg)],
        allow_failed_imports=False,
    )
    cfg.setdefault('default_hooks', {})
    cfg.default_hooks.checkpoint = dict(
        type='soco_mm.AtomicCheckpointHook',
        interval=interval,
        max_keep_ckpts=2,
        save_best='coco/bbox_mAP',
        rule='greater',
    )
    cfg.default_hooks.runtime_info = dict(type='soco_mm.DeferredRuntimeInfoHook')
    cfg.default_hooks.param_scheduler = dict(type='soco_mm.AmpParamSchedulerHook')
    cfg.custom_hooks = [
        *(cfg.get('custom_hooks') or []),
        dict(type='soco_mm.ResumedEvaluationHook'),
    ]
    cfg.default_hooks.logger = dict(
        type='LoggerHook', interval=min(50, max(1, iterations // 5))
    )
    cfg.log_processor = dict(type='LogProcessor', window_size=50, by_epoch=True)
    # Without a name: it would make this the visualizer of an earlier training.
    cfg.visualizer = dict(
        type='DetLocalVisualizer', vis_backends=[dict(type='soco_mm.JSONVisBackend')]
    )


def schedule(iterations: int) -> list:
    """Warm-up of up to 1000 iterations, steps at 2/3 and 8/9."""
    warm_up = max(2, min(1000, iterations // 10))
    return [
        dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=warm_up),
        dict(
            type='MultiStepLR',
            by_epoch=False,
            begin=0,
            end=iterations,
            milestones=[iterations * 2 // 3, iterations * 8 // 9],
            gamma=0.1,
        ),
    ]


def set_classes(node, num_classes: int) -> int:
    """Set the number of classes of all heads except the RPN.

    Returns:
        int: Number of places where it was set.
    """
    if isinstance(node, (list, tuple)):
        return sum(set_classes(each, num_classes) for each in node)
    if not isinstance(node, dict):
        return 0
    found = 0
    for key, value in node.items():
        if key == 'num_classes':
            node[key] = num_classes
            found += 1
        elif key not in NO_HEADS:
            found += set_classes(value, num_classes)
    return found


def drop_mask_head(model: Config, detector: str | Path) -> None:
    """Remove the mask head of a two-stage detector.

    Raises:
        SoCoError: If the detector is of another kind, and needs masks.
    """
    roi_head = model.get('roi_head', {})
    # Mask Scoring R-CNN and PointRend cannot be built without their masks.
    needed = roi_head.get('mask_iou_head') or roi_head.get('point_head')
    if needed or not roi_head.get('mask_head'):
        raise SoCoError(
            f'The detector of {detector} is trained with masks, but not all '
            'objects have a segmentation. Choose a box detector.'
        )
    for key in ('mask_head', 'mask_roi_extractor'):
        if key in roi_head:
            roi_head[key] = None


def imports(cfg: Config) -> list:
    """The modules that a config imports already."""
    names = (cfg.get('custom_imports') or {}).get('imports', [])
    return [names] if isinstance(names, str) else list(names)
