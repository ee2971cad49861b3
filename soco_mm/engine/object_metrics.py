"""How well a model tells objects apart, on some of its images."""

import copy
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor
from torch.utils.data import default_collate

from soco_mm.datasets import ObjectViewDataset
from soco_mm.datasets.sampler import sample_rng
from soco_mm.models import SoCo
from soco_mm.models.algorithms.soco import fill_invalid
from soco_mm.models.utils.batch_statistics import batch_statistics
from soco_mm.models.utils.object_metrics import (
    effective_rank,
    found_again,
    same_objects,
)
from soco_mm.utils import ImageError

from .preview import build_dataset

NUM_IMAGES = 64
NUM_OBJECTS = 8  # of an image, at the most
BATCH_SIZE = 32
SEED = 1_000_003  # not that of a training, which would show the same views


def make_samples(cfg: Config) -> list[dict[str, Any]]:
    """Two views of some images of a training, always the same.

    They are made as in training, by a pipeline of their own, with up to
    ``NUM_OBJECTS`` objects.

    Args:
        cfg (Config): The config of the training.

    Returns:
        list[dict]: ``views``, ``boxes`` and ``valid`` of the first two views,
        as :class:`PackViews` returns them, of up to ``NUM_IMAGES`` images;
        empty if the data set is not one of objects.
    """
    cfg = copy.deepcopy(cfg)
    for transform in cfg.train_dataloader.dataset.get('pipeline', ()):
        if transform.get('type') == 'SelectProposals':
            drawn = transform.get('num_proposals', 0)
            transform.num_proposals = max(NUM_OBJECTS, drawn)
    dataset = build_dataset(cfg)
    if not isinstance(dataset, ObjectViewDataset):
        return []
    samples = []
    number = min(NUM_IMAGES, len(dataset))
    for index in np.linspace(0, len(dataset) - 1, number).astype(int).tolist():
        data = dataset.get_data_info(index)
        data['rng'] = sample_rng(SEED, 0, index)
        try:
            sample = dataset.pipeline(data)
        except ImageError:  # training uses another image, and says so
            continue
        samples.append({key: sample[key][:2] for key in ('views', 'boxes', 'valid')})
    return samples


def measure_objects(model: SoCo, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Look for each object in another view, and count dimensions.

    Features are those of the R-CNN head, which the detector gets; batch norm
    uses the statistics of the batch, see :func:`batch_statistics`. Nothing of
    the model changes, and no random number is drawn.

    Args:
        model (SoCo): The model, whose online network is measured.
        samples (Sequence[dict]): What :func:`make_samples` returns.

    Returns:
        dict: ``found``, the share of objects that are found again, see
        :func:`found_again`; ``rank``, the effective rank of their features;
        ``largest_rank``, the largest that there can be; and the number of
        ``objects`` and ``images``.
    """
    first, second, boxes, images = [], [], [], []
    for start, batch in split_evenly(samples):
        with kept_random_state(), torch.no_grad(), batch_statistics(model):
            pair = view_features(model, batch)
        valid = batch['valid'][0] & batch['valid'][1]
        first.append(pair[0][valid])
        second.append(pair[1][valid])
        boxes.append(batch['boxes'][0][valid])
        images.append(start + valid.nonzero()[:, 0])
    gallery = torch.cat(first)
    same = same_objects(torch.cat(boxes), torch.cat(images))
    return dict(
        found=found_again(torch.cat(second), gallery, same),
        rank=effective_rank(gallery),
        largest_rank=min(len(gallery) - 1, gallery.shape[1]),
        objects=len(gallery),
        images=len(samples),
    )


def split_evenly(
    samples: Sequence[dict[str, Any]],
) -> Iterator[tuple[int, dict[str, list[Tensor]]]]:
    """Batches of about the same size: a single image has no batch statistics.

    Yields:
        tuple: Index of the first sample, and the collated batch.
    """
    parts = np.array_split(range(len(samples)), ceil(len(samples) / BATCH_SIZE))
    for part in parts:
        yield int(part[0]), default_collate([samples[index] for index in part])


def view_features(model: SoCo, batch: dict[str, list[Tensor]]) -> list[Tensor]:
    """Features of the objects in each view of a batch, (N, K, C), on the CPU."""
    data = model.data_preprocessor(batch, False)
    views = zip(*(data[key] for key in ('views', 'boxes', 'valid')))
    features = []
    for view, boxes, valid in views:
        boxes = fill_invalid(boxes, valid, view)
        found = model.online_net.object_features(view, boxes)
        features.append(found.float().cpu().unflatten(0, boxes.shape[:2]))
    return features


@contextmanager
def kept_random_state() -> Iterator[None]:
    """Leave the random numbers of a training as they are."""
    numbers, state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(numbers)
        np.random.set_state(state)
