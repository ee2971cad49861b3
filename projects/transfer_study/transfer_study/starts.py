"""What detectors start from: random weights, ImageNet's, or a pretraining."""

import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from soco_mm.apis.export import export_detector
from soco_mm.checkpoint import read_checkpoint, write_checkpoint
from soco_mm.detectors.fit import WEIGHTS
from soco_mm.engine.checkpoint_files import latest_checkpoint
from soco_mm.engine.config import load_config
from soco_mm.engine.retrieval import read_retrieval
from soco_mm.engine.training import train_model
from soco_mm.proposals import build_settings
from soco_mm.proposals.make import make_proposals
from soco_mm.utils import atomic_write, file_hash, read_json, write_json

from .data import DATA_SETS, images_of

CONFIGS = Path(__file__).parents[1] / 'configs'
SCRATCH, IMAGENET = 'scratch', 'imagenet'
RESULT = 'result.json'  # in the folder of a pretraining that is done


class Start(NamedTuple):
    """What a detector starts from.

    Attributes:
        title (str): Its name in tables.
        config (str, optional): The pretraining, a name in ``configs``.
        parts (str, optional): What is handed over; None as the config says.
    """

    title: str
    config: str | None = None
    parts: str | None = None


STARTS = {
    SCRATCH: Start('random weights'),
    IMAGENET: Start('ImageNet'),
    'soco': Start('+ SoCo, as in the paper', 'soco'),
    'short': Start('+ short recipe, backbone trained too', 'short'),
    'short-all': Start('+ short recipe, head handed over too', 'short', 'all'),
    'align': Start('+ short recipe (align only)', 'align'),
    'byol': Start('+ BYOL', 'byol'),
    'simsiam': Start('+ SimSiam', 'simsiam'),
    'mocov2': Start('+ MoCo v2', 'mocov2'),
    'densecl': Start('+ DenseCL', 'densecl'),
}


def pretraining_dir(work: Path, data: str, config: str, seed: int) -> Path:
    """The folder of a pretraining."""
    return work / 'pretrainings' / f'{data}_{config}_{seed}'


def imagenet_path(work: Path) -> Path:
    """The backbone with ImageNet's weights."""
    return work / IMAGENET / WEIGHTS


def start_weights(work: Path, data: str, start: str, seed: int) -> Path | None:
    """The weights that a detector starts from, None for random ones."""
    if start == SCRATCH:
        return None
    if start == IMAGENET:
        return imagenet_path(work)
    config, parts = STARTS[start][1:]
    folder = pretraining_dir(work, data, config, seed)
    return folder / f'handed_over_{parts or "default"}' / WEIGHTS


def pretrain(
    config: str, name: str, seed: int, data: Path, work: Path
) -> dict[str, Any]:
    """Pretrain on the images of a data set, and hand over.

    Args:
        config (str): The pretraining, a name in ``configs``.
        name (str): The data set.
        seed (int): Of all random numbers.
        data (Path): The folder of the data.
        work (Path): Where everything goes.

    Returns:
        dict: What was pretrained, the hash of each start, and as ``retrieval``
        what :func:`read_retrieval` returns, empty for image-level pretrainings.
    """
    folder = pretraining_dir(work, name, config, seed)
    if (folder / RESULT).is_file():
        return read_json(folder / RESULT)
    began = time.process_time()
    cfg = pretraining_config(config)
    cfg.train_dataloader.dataset.update(
        data_root=str(data), proposals=str(proposals_dir(work, name))
    )
    cfg.randomness.seed = seed
    cfg.visualizer.save_dir = str(folder)
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=True, max_keep_ckpts=1)
    if cfg.model.type == 'SoCo':
        cfg.init_weights = str(imagenet_path(work))
        annotations = str(data / DATA_SETS[name].train)
        cfg.custom_hooks.append(dict(type='ObjectMetricsHook', ann=annotations))
    else:  # their target networks are copied at the first step
        cfg.load_from = str(imagenet_path(work))
    last = train_model(cfg, folder, resume=latest_checkpoint(folder) is not None)
    hashes = hand_over(config, name, seed, cfg, last, work)
    result = dict(
        data=name,
        config=config,
        seed=seed,
        retrieval=read_retrieval(folder),
        hashes=hashes,
        seconds=round(time.process_time() - began),
    )
    write_json(folder / RESULT, result)
    shutil.rmtree(folder / 'checkpoints')
    return result


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


def hand_over(
    config: str, name: str, seed: int, cfg: Config, last: Path, work: Path
) -> dict[str, str]:
    """Write what each start takes from a pretraining.

    Returns:
        dict: The start of the hash of each file.
    """
    hashes = {}
    for key, start in STARTS.items():
        if start.config != config:
            continue
        weights = start_weights(work, name, key, seed)
        if cfg.model.type == 'SoCo':
            export_detector(
                last,
                weights.parent,
                config=cfg,
                detector=CONFIGS / 'faster-rcnn_mobilenetv2_fpn.py',
                parts=start.parts,
            )
        else:
            weights.parent.mkdir(parents=True, exist_ok=True)
            write_checkpoint(weights, dict(state_dict=backbone_of(last)))
        hashes[key] = file_hash(weights)[:16]
    return hashes


def backbone_of(checkpoint: Path) -> dict:
    """The backbone of an image-level pretraining."""
    state = read_checkpoint(checkpoint)['state_dict']
    return {
        name: value.contiguous()
        for name, value in state.items()
        if name.startswith('backbone.')
    }


def proposals_dir(work: Path, name: str) -> Path:
    """The proposals of a data set."""
    return work / 'proposals' / name


def prepare_proposals(data: Path, name: str, work: Path) -> None:
    """Make the proposals of the images of a data set, unless they are there."""
    listed = work / 'images' / f'{name}.txt'
    listed.parent.mkdir(parents=True, exist_ok=True)
    atomic_write(listed, '\n'.join(images_of(data, name)) + '\n')
    make_proposals(
        listed,
        proposals_dir(work, name),
        settings=build_settings('fast', size_range=DATA_SETS[name].size_range),
        root=data,
    )
