"""The parts of a transfer study: its pretrainings, and its detectors.

A cell of the study is one detector: trained from one start (random weights, or
one pretraining), on one share of the labels of one data set, with one seed.
"""

import json
import math
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config

from soco_mm.apis.export import export_detector
from soco_mm.checkpoint import read_checkpoint, write_checkpoint
from soco_mm.coco import Annotations, coco_subset, read_annotations
from soco_mm.detectors.build import build_model
from soco_mm.detectors.finetune_config import finetune_config, schedule
from soco_mm.detectors.fit import WEIGHTS
from soco_mm.detectors.training import check_weights, train_detector
from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.config import load_config
from soco_mm.engine.schedules import set_epochs
from soco_mm.engine.training import train_model
from soco_mm.utils import atomic_write, file_hash, read_json

FOLDER = Path(__file__).parents[1] / 'configs'
DETECTOR = FOLDER / 'mask-rcnn_r18_fpn.py'
SCRATCH = 'scratch'
CELLS = 'cells'
IMAGES = 'images.txt'


class DataSet(NamedTuple):
    """Annotated images, by paths below the folder of the data.

    Attributes:
        train (str): COCO json of the training; its images are pretrained on
            too.
        val (str): COCO json of the evaluation.
        images (str): The folder of the images of both.
    """

    train: str
    val: str
    images: str


DATA_SETS = {
    'bccd': DataSet(
        'bccd/instances_train.json', 'bccd/instances_test.json', 'bccd/images'
    ),
    'coco128': DataSet(
        'coco128/instances_train.json', 'coco128/instances_val.json', 'coco128'
    ),
}


class Cell(NamedTuple):
    """One detector of the study."""

    data: str
    method: str
    fraction: float
    seed: int

    @property
    def name(self) -> str:
        """The name of its file."""
        return f'{self.data}_{self.fraction * 100:g}_{self.method}_{self.seed}'


def proposals_of(method: str) -> str:
    """The method of proposals that a pretraining uses."""
    return 'whole' if method.endswith('whole-image') else 'selective-search'


def cell_path(out: Path, cell: Cell) -> Path:
    """The file of a finished cell."""
    return out / CELLS / f'{cell.name}.json'


def start_weights(out: Path, method: str, seed: int) -> Path | None:
    """The weights that a detector starts from."""
    if method == SCRATCH:
        return None
    return out / 'starts' / f'{method}_{seed}' / WEIGHTS


def pretrain_start(
    method: str, seed: int, data: Path, out: Path, settings: dict
) -> None:
    """Pretrain, unless it is done, and hand the weights over."""
    weights = start_weights(out, method, seed)
    if weights.is_file():
        return
    cfg = load_config(FOLDER / f'{method}.py')
    cfg.train_dataloader.dataset.update(
        data_root=str(data), proposals=str(out / 'proposals' / proposals_of(method))
    )
    cfg.randomness.seed = seed
    images = len((out / IMAGES).read_text().splitlines())
    loader = cfg.train_dataloader
    loader.batch_size = min(loader.batch_size, images)
    if settings['epochs'] is not None:
        set_epochs(cfg, settings['epochs'], images // loader.batch_size)
    work_dir = out / 'pretrain' / f'{method}_{seed}'
    cfg.visualizer.save_dir = str(work_dir)
    cfg.default_hooks.checkpoint.max_keep_ckpts = 2
    last = train_model(cfg, work_dir, resume=latest_checkpoint(work_dir) is not None)
    if cfg.model.type == 'SoCo':
        export_detector(last, weights.parent, config=cfg, detector=DETECTOR)
    else:
        weights.parent.mkdir(parents=True, exist_ok=True)
        write_checkpoint(weights, dict(state_dict=backbone_of(last)))
    shutil.rmtree(work_dir / 'checkpoints')


def backbone_of(checkpoint: Path) -> dict:
    """The backbone of an image-level pretraining."""
    state = read_checkpoint(checkpoint)['state_dict']
    return {
        name: value.contiguous()
        for name, value in state.items()
        if name.startswith('backbone.')
    }


def train_cell(cell: Cell, data: Path, out: Path, settings: dict) -> None:
    """Train and evaluate the detector of a cell, and write what came out."""
    began = time.time()
    work_dir = out / 'detectors' / cell.name
    shutil.rmtree(work_dir, ignore_errors=True)  # of an interrupted study
    work_dir.mkdir(parents=True)
    paths = DATA_SETS[cell.data]
    subset = coco_subset(read_json(data / paths.train), cell.fraction, cell.seed)
    atomic_write(work_dir / 'train.json', json.dumps(subset))
    train = read_annotations(work_dir / 'train.json', data / paths.images)
    val = read_annotations(data / paths.val, data / paths.images, train.classes)
    cfg = cell_config(cell, train, val, out, settings, work_dir)
    weights = start_weights(out, cell.method, cell.seed)
    if weights:
        check_weights(build_model(cfg.model), weights)
    runner = train_detector(cfg)
    # A detector that finds nothing at all is not evaluated.
    metrics = dict.fromkeys(('bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75'), 0.0)
    for key, buffer in runner.message_hub.log_scalars.items():
        if key.startswith('val/coco/'):
            value = buffer.data[0][-1].item()
            if not math.isnan(value):  # as of a class without objects
                metrics[key.removeprefix('val/coco/')] = value
    last = work_dir / 'last.pth'
    torch.save(runner.model.state_dict(), last)
    found = dict(
        cell._asdict(),
        images=len(train.images),
        objects=train.num_boxes,
        metrics=metrics,
        start_sha256=weights and file_hash(weights),
        weights_sha256=file_hash(last),
        config_sha256=file_hash(work_dir / 'config.py'),
        log=f'logs/{cell.name}.log',
        seconds=round(time.time() - began, 1),
    )
    last.unlink()  # its hash is kept
    atomic_write(cell_path(out, cell), json.dumps(found, indent=1))


def cell_config(
    cell: Cell,
    train: Annotations,
    val: Annotations,
    out: Path,
    settings: dict,
    work_dir: Path,
) -> Config:
    """The config of a cell: so many iterations, whatever the labels."""
    iterations = settings['iterations']
    cfg = finetune_config(
        DETECTOR,
        train,
        val,
        epochs=1,
        batch_size=settings['batch_size'],
        scale=tuple(settings['scale']),
        num_workers=0,
        seed=cell.seed,
    )
    cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    cfg.train_cfg = dict(
        type='IterBasedTrainLoop', max_iters=iterations, val_interval=iterations
    )
    cfg.param_scheduler = schedule(iterations)
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=-1, save_last=False
    )
    cfg.default_hooks.logger.interval = 10
    cfg.log_processor.by_epoch = False
    cfg.val_evaluator.classwise = True
    weights = start_weights(out, cell.method, cell.seed)
    cfg.load_from = weights and os.path.relpath(weights, work_dir)
    cfg.work_dir = '.'
    cfg.dump(work_dir / 'config.py')
    cfg.load_from = weights and str(weights)
    cfg.work_dir = str(work_dir)
    return cfg
