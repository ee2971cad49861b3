"""The pretrainings of the study."""

import copy
import hashlib
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from soco_mm.checkpoint import read_checkpoint, write_checkpoint
from soco_mm.detectors.fit import WEIGHTS
from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.config import load_config
from soco_mm.engine.precision import BFLOAT16, adapt_precision
from soco_mm.engine.retrieval import read_retrieval
from soco_mm.engine.training import train_model
from soco_mm.proposals import build_settings
from soco_mm.proposals.make import make_proposals
from soco_mm.utils import atomic_write, file_hash, read_json, write_json

from .data import DATA_SETS, images_of

CONFIGS = Path(__file__).parents[1] / 'configs'
IMAGENET = 'imagenet'
WHOLE = '_whole-image'  # how the configs end whose one object is the whole image
RESULT, CHECKPOINT = 'result.json', 'last.pth'  # of a pretraining that is done
# Of retrieval: all that the data sets have.
NUM_IMAGES = 256


class Pretraining(NamedTuple):
    """A pretraining on the images of a data set.

    Attributes:
        config (str): A name in ``configs``.
        data (str): A name in :data:`DATA_SETS`.
        seed (int): Of all random numbers.
        init (str): What it starts from, ``imagenet`` or ``scratch``.
    """

    config: str
    data: str
    seed: int
    init: str = IMAGENET

    @property
    def name(self) -> str:
        """Its name, as that of a file."""
        return f'{self.data}_{self.config}_{self.init}_{self.seed}'

    @property
    def whole(self) -> bool:
        """Whether the whole image is the only object."""
        return self.config.endswith(WHOLE)

    def folder(self, work: Path) -> Path:
        """Where it is."""
        return work / 'pretrainings' / self.name


def pretrain(pretraining: Pretraining, data: Path, work: Path) -> dict[str, Any]:
    """Pretrain, unless it is done with this config.

    Args:
        pretraining (Pretraining): The pretraining; its proposals are there.
        data (Path): The folder of the data.
        work (Path): Where everything goes.

    Returns:
        dict: What was pretrained, as ``retrieval`` what :func:`read_retrieval`
        returns, empty for image-level pretrainings, its precision, and hashes of
        the config and of the weights at the end.
    """
    folder, cfg = pretraining.folder(work), pretraining_config(pretraining.config)
    config = hash_text(cfg.pretty_text)
    if (folder / RESULT).is_file():
        result = read_json(folder / RESULT)
        if result['hashes']['config'] == config:
            return result
        shutil.rmtree(folder)
    began = time.process_time()
    proposals = proposals_dir(work, pretraining.data, pretraining.whole)
    cfg.train_dataloader.dataset.update(data_root=str(data), proposals=str(proposals))
    cfg.randomness.seed = pretraining.seed
    cfg.visualizer.save_dir = str(folder)
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=True, max_keep_ckpts=1)
    start_from(cfg, pretraining.init, work)
    if cfg.model.type == 'SoCo':
        cfg.custom_hooks.append(
            dict(
                type='ObjectMetricsHook',
                ann=str(data / DATA_SETS[pretraining.data].train),
                num_images=NUM_IMAGES,
            )
        )
    last = train_model(cfg, folder, resume=latest_checkpoint(folder) is not None)
    write_checkpoint(
        folder / CHECKPOINT, dict(state_dict=read_checkpoint(last)['state_dict'])
    )
    result = dict(
        pretraining=pretraining._asdict(),
        retrieval=read_retrieval(folder),
        precision=precision_of(cfg),
        hashes=dict(config=config, weights=file_hash(folder / CHECKPOINT)[:16]),
        seconds=round(time.process_time() - began),
    )
    write_json(folder / RESULT, result)
    shutil.rmtree(folder / 'checkpoints')
    return result


def start_from(cfg: Config, init: str, work: Path) -> None:
    """Set what a pretraining starts from, in place."""
    if init != IMAGENET:  # all layers are as new as the neck
        cfg.optim_wrapper.paramwise_cfg.custom_keys.pop('backbone')
    elif cfg.model.type == 'SoCo':
        cfg.init_weights = str(work / IMAGENET / WEIGHTS)
    else:  # their target networks are copied at the first step
        cfg.load_from = str(work / IMAGENET / WEIGHTS)


def pretraining_config(name: str) -> Config:
    """The config of a pretraining, with the images and steps of ``short``.

    Image-level ones have its optimiser too: LARS and SGD move the convolutions
    little in so few steps.
    """
    cfg = load_config(CONFIGS / f'{name}.py')
    if cfg.model.type == 'SoCo':
        return cfg
    short = load_config(CONFIGS / 'short.py')
    own = cfg.optim_wrapper.get('paramwise_cfg', {}).get('custom_keys', {})
    for key in ('optim_wrapper', 'auto_scale_lr', 'param_scheduler', 'train_cfg'):
        cfg[key] = short[key]
    cfg.optim_wrapper.paramwise_cfg.custom_keys.update(own)
    for key in ('batch_size', 'num_workers', 'persistent_workers'):
        cfg.train_dataloader[key] = short.train_dataloader[key]
    return cfg


def precision_of(cfg: Config) -> str:
    """What a pretraining computes in on this machine: bfloat16 where it is native."""
    trial = copy.deepcopy(cfg)
    adapt_precision(trial)
    return 'bfloat16' if trial.optim_wrapper.type == BFLOAT16 else 'float32'


def hash_text(text: str) -> str:
    """The start of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def proposals_dir(work: Path, name: str, whole: bool = False) -> Path:
    """The proposals of a data set; ``whole``: the whole image is the only one."""
    return work / 'proposals' / f'{name}{WHOLE * whole}'


def prepare_proposals(data: Path, name: str, work: Path, whole: bool = False) -> None:
    """Make the proposals of the images of a data set, unless they are there."""
    listed = work / 'images' / f'{name}.txt'
    listed.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(listed, '\n'.join(images_of(data, name)) + '\n')
    if whole:
        settings = build_settings(method='whole')
    else:
        settings = build_settings('fast', size_range=DATA_SETS[name].size_range)
    make_proposals(
        listed, proposals_dir(work, name, whole), settings=settings, root=data
    )
