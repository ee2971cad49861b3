"""How many images a second one core of this machine loads."""

import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from torch.utils.data import Dataset

from soco_mm.datasets import ObjectViewDataset
from soco_mm.engine.config import building
from soco_mm.engine.preview import build_dataset
from soco_mm.proposals import Proposals, ProposalStore
from soco_mm.utils import ImageError, SoCoError

SIZE = (500, 375)  # width and height, ImageNet's most frequent
SECONDS = 2.0
IMAGES = 8


def open_data(cfg: Config) -> Dataset | None:
    """The data set of a config, None where it is not on this machine."""
    try:
        dataset = build_dataset(cfg)
        dataset[0]
    except (SoCoError, ImageError, OSError):
        return None
    return dataset


def loading_rate(cfg: Config, dataset: Dataset | None) -> float:
    """Images a second that one core reads and makes views of.

    Args:
        cfg (Config): The config, for its pipeline.
        dataset (Dataset, optional): Its data; None for made-up photos.

    Raises:
        SoCoError: If the pipeline cannot be built.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        if dataset is not None:
            return measure(dataset)
        with tempfile.TemporaryDirectory() as folder:
            return measure(made_up(cfg, Path(folder)))
    finally:
        cv2.setNumThreads(threads)


def measure(dataset: Dataset) -> float:
    """Images a second, after a first one."""
    dataset[0]
    done, started = 0, time.process_time()
    while (spent := time.process_time() - started) < SECONDS:
        # Over the whole data set, so that files are not in the page cache.
        dataset[(1 + done * max(1, len(dataset) // 1000)) % len(dataset)]
        done += 1
    return done / spent


def made_up(cfg: Config, folder: Path) -> Dataset:
    """A data set of JPEGs that cost as much as photos to read."""
    rng = np.random.default_rng(0)
    found = []
    for index in range(IMAGES):
        coarse = rng.integers(0, 255, (24, 32, 3)).astype(np.float32)
        image = cv2.resize(coarse, SIZE, interpolation=cv2.INTER_CUBIC)
        image += rng.normal(0, 8, image.shape)
        name = f'{index}.jpg'
        cv2.imwrite(str(folder / name), image.clip(0, 255).astype(np.uint8))
        corner = rng.uniform(0, 0.5, (30, 2)) * SIZE
        boxes = np.concatenate([corner, corner + 0.4 * np.array(SIZE)], 1)
        found.append(Proposals(name, boxes.astype(np.float32), SIZE, 0))
    ProposalStore.write(folder / 'store', dict(generator={}), found)
    with building('a data pipeline'):
        return ObjectViewDataset(
            str(folder),
            str(folder / 'store'),
            cfg.train_dataloader.dataset.pipeline,
        )
