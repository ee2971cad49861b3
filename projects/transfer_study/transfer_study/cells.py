"""A cell of the study: one detector, trained and evaluated."""

import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config

from soco_mm.coco import Annotations, coco_subset, read_annotations
from soco_mm.detectors.build import build_model
from soco_mm.detectors.finetune_config import finetune_config, schedule
from soco_mm.detectors.training import check_weights, train_detector
from soco_mm.utils import atomic_write, file_hash, read_json

from .data import DATA_SETS
from .pretrainings import Pretraining, hash_text
from .starts import FASTER_RCNN, detector_config, pretraining_of, start_weights

BATCH_SIZE = 4
METRICS = ('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75')
CLASS_AP = '_precision'  # how MMDetection's AP of a class ends


class Cell(NamedTuple):
    """One detector of the study.

    Attributes:
        data (str): A name in :data:`DATA_SETS`.
        start (str): A name in :data:`STARTS`.
        fraction (float): Share of the labelled images, in (0, 1].
        seed (int): Draws the labels, and the random numbers of the detector and
            of the pretraining.
        rate (float): Learning rate for 4 images.
        iterations (int): Length of the training.
        detector (str): One of :data:`transfer_study.starts.DETECTORS`.
        frozen (bool): Keep the backbone as it is, its norms in evaluation mode,
            and start from no more than the backbone.
    """

    data: str
    start: str
    fraction: float
    seed: int
    rate: float
    iterations: int
    detector: str = FASTER_RCNN
    frozen: bool = False

    @property
    def pretraining(self) -> Pretraining | None:
        """What it needs to be done before."""
        return pretraining_of(self.start, self.data, self.seed)

    @property
    def name(self) -> str:
        """Its name, as that of a file."""
        return (
            f'{self.data}_{self.fraction * 100:g}_{self.start}_{self.seed}_'
            f'{self.detector}{"_frozen" * self.frozen}_{self.iterations}_'
            f'{self.rate:g}'
        )


def train_cell(cell: Cell, data: Path, work: Path) -> dict[str, Any]:
    """Train and evaluate the detector of a cell.

    Args:
        cell (Cell): The cell; what it starts from is there.
        data (Path): The folder of the data.
        work (Path): Where configs and logs go.

    Returns:
        dict: The cell, its metrics in [0, 1], and hashes of what it was made of.
    """
    began = time.process_time()
    folder = work / 'detectors' / cell.name
    shutil.rmtree(folder, ignore_errors=True)  # of an interrupted study
    folder.mkdir(parents=True)
    own = DATA_SETS[cell.data]
    subset = coco_subset(read_json(data / own.train), cell.fraction, cell.seed)
    atomic_write(folder / 'train.json', json.dumps(subset))
    train = read_annotations(folder / 'train.json', data / own.images)
    test = read_annotations(data / own.test, data / own.images, train.classes)
    weights = start_weights(
        work, cell.start, cell.data, cell.seed, cell.detector, cell.frozen
    )
    cfg = cell_config(cell, train, test, weights, folder)
    config = hash_config(cfg, data, work)  # before the training adds to it
    if weights:
        check_weights(build_model(cfg.model), weights)
    runner = train_detector(cfg)
    last = folder / 'last.pth'
    torch.save(runner.model.state_dict(), last)
    found = dict(
        cell=cell._asdict(),
        images=len(train.images),
        objects=train.num_boxes,
        metrics=read_metrics(runner),
        hashes=dict(
            start=weights and file_hash(weights)[:16],
            labels=file_hash(folder / 'train.json')[:16],
            config=config,
            detector=file_hash(last)[:16],
        ),
        seconds=round(time.process_time() - began),
    )
    last.unlink()  # its hash is kept
    return found


def hash_config(cfg: Config, data: Path, work: Path) -> str:
    """The start of a hash of a config, the same wherever the two folders are."""
    text = json.dumps(cfg.to_dict(), sort_keys=True)
    for path, name in ((work, 'WORK'), (data, 'DATA')):
        text = text.replace(str(path), name)
    return hash_text(text)


def read_metrics(runner) -> dict[str, float]:
    """AP of all classes and of each; 0 where a detector found nothing at all."""
    metrics = dict.fromkeys(METRICS, 0.0)
    for key, buffer in runner.message_hub.log_scalars.items():
        name = key.removeprefix('val/coco/')
        if name != key and (name in METRICS or name.endswith(CLASS_AP)):
            value = buffer.data[0][-1].item()
            if not math.isnan(value):  # as of a class without objects
                metrics[name] = value
    return metrics


def cell_config(
    cell: Cell,
    train: Annotations,
    test: Annotations,
    weights: Path | None,
    folder: Path,
) -> Config:
    """The config of a cell: so many iterations, whatever the labels."""
    cfg = finetune_config(
        detector_config(cell.detector),
        train,
        test,
        epochs=1,
        batch_size=BATCH_SIZE,
        scale=DATA_SETS[cell.data].scale,
        num_workers=0,
        seed=cell.seed,
    )
    scale = DATA_SETS[cell.data].anchor_scale
    if 'rpn_head' in cfg.model and scale:
        cfg.model.rpn_head.anchor_generator.scales = [scale]
    cfg.optim_wrapper.optimizer.lr = cell.rate
    cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop',
        max_iters=cell.iterations,
        val_interval=cell.iterations,
    )
    cfg.param_scheduler = schedule(cell.iterations)
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=-1, save_last=False
    )
    cfg.default_hooks.logger.interval = 20
    cfg.log_processor.by_epoch = False
    cfg.val_evaluator.classwise = len(train.classes) > 1
    if cell.frozen:
        cfg.model.backbone.update(frozen_stages=7, norm_eval=True)
    cfg.load_from = weights and os.path.relpath(weights, folder)
    cfg.work_dir = '.'
    cfg.dump(folder / 'config.py')
    cfg.load_from = weights and str(weights)
    cfg.work_dir = str(folder)
    return cfg
