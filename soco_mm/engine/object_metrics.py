"""How well a model tells objects apart, on some of its images."""

import copy
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import default_collate

from soco_mm.datasets import ObjectViewDataset
from soco_mm.datasets.sampler import sample_rng
from soco_mm.datasets.transforms import ConstructViews, SelectProposals
from soco_mm.datasets.transforms.finding import find_transform
from soco_mm.models import SoCo
from soco_mm.models.algorithms.soco import fill_invalid
from soco_mm.models.utils.batch_statistics import batch_statistics
from soco_mm.models.utils.object_metrics import (
    effective_rank,
    found_again,
    nearest_class,
    nearest_class_by_chance,
    same_objects,
)
from soco_mm.proposals.recall import read_ground_truth
from soco_mm.utils import ImageError

from .preview import build_dataset

NUM_IMAGES = 64
NUM_OBJECTS = 8  # of an image, at the most
BATCH_SIZE = 32
SEED = 1_000_003  # not that of a training, which would show the same views


def make_samples(
    cfg: Config, num_images: int = NUM_IMAGES, num_views: int | None = 2
) -> list[dict[str, Any]]:
    """Views of some images of a training, always the same.

    They are made as in training, by a pipeline of their own, with up to
    ``NUM_OBJECTS`` objects.

    Args:
        cfg (Config): The config of the training.
        num_images (int): How many images, evenly picked. Defaults to 64.
        num_views (int, optional): How many of the views. Defaults to 2; None
            for all.

    Returns:
        list[dict]: ``views``, ``boxes`` and ``valid`` of the first views, as
        :class:`PackViews` returns them; empty if the data set is not one of
        objects.
    """
    cfg = copy.deepcopy(cfg)
    pipeline = cfg.train_dataloader.dataset.get('pipeline', ())
    if select := find_transform(pipeline, SelectProposals):
        drawn = select.get('num_proposals', 0)
        select['num_proposals'] = max(NUM_OBJECTS, drawn)
    dataset = build_dataset(cfg)
    if not isinstance(dataset, ObjectViewDataset):
        return []
    samples = []
    number = min(num_images, len(dataset))
    for index in np.linspace(0, len(dataset) - 1, number).astype(int).tolist():
        data = dataset.get_data_info(index)
        data['rng'] = sample_rng(SEED, 0, index)
        try:
            sample = dataset.pipeline(data)
        except ImageError:  # training uses another image, and says so
            continue
        samples.append(
            {key: sample[key][:num_views] for key in ('views', 'boxes', 'valid')}
        )
    return samples


def make_annotated_samples(
    cfg: Config, ann: str | Path, num_images: int = NUM_IMAGES
) -> list[dict[str, Any]]:
    """Some annotated images of a training, whole and without augmentation.

    Args:
        cfg (Config): The config of the training.
        ann (str | Path): Their annotations, see :func:`read_ground_truth`.
        num_images (int): How many images, evenly picked. Defaults to 64.

    Returns:
        list[dict]: ``views``, ``boxes`` and ``valid``, a list of one each;
        ``labels``, int64 (K,), -1 where there is no class; and ``index``, that
        of the image in the store; of up to ``NUM_IMAGES`` images. Empty if the
        data set is not one of objects.

    Raises:
        UsageError: If none of its images is annotated.
        SoCoError: If the boxes are not in pixels.
    """
    dataset = build_dataset(cfg)
    if not isinstance(dataset, ObjectViewDataset):
        return []
    objects = read_ground_truth(ann, dataset.store)

    def find(index: int) -> tuple[np.ndarray, np.ndarray]:
        own = objects.images == index
        return objects.boxes[own].astype(np.float32), objects.labels[own]

    # Those of the store, of which the data set may hold only some.
    dataset.chosen = None
    return whole_views(cfg, dataset, np.unique(objects.images), find, num_images)


def make_proposal_samples(cfg: Config) -> list[dict[str, Any]]:
    """Some images of a training, whole, with all their proposals.

    Args:
        cfg (Config): The config of the training.

    Returns:
        list[dict]: As :func:`make_annotated_samples`, without classes.
    """
    dataset = build_dataset(cfg)
    if not isinstance(dataset, ObjectViewDataset):
        return []

    def find(index: int) -> tuple[np.ndarray, np.ndarray]:
        boxes = dataset.get_data_info(index)['proposals']
        return boxes, np.full(len(boxes), -1)

    return whole_views(cfg, dataset, np.arange(len(dataset)), find)


def whole_views(
    cfg: Config,
    dataset: ObjectViewDataset,
    indices: np.ndarray,
    find: Callable[[int], tuple[np.ndarray, np.ndarray]],
    num_images: int = NUM_IMAGES,
) -> list[dict[str, Any]]:
    """Some images as the first view has them, without crop and augmentation.

    Args:
        cfg (Config): The config of the training.
        dataset (ObjectViewDataset): The images.
        indices (np.ndarray): The images to choose from, evenly.
        find (Callable): From an index to boxes in pixels of the image, float32
            (K, 4), and labels (K,).
        num_images (int): How many. Defaults to 64.

    Returns:
        list[dict]: See :func:`make_annotated_samples`; empty if the pipeline
        has no ``ConstructViews``.
    """
    pipeline = cfg.train_dataloader.dataset.get('pipeline', ())
    construct = find_transform(pipeline, ConstructViews)
    if construct is None:
        return []
    whole = ConstructViews([dict(size=construct['views'][0]['size'])])
    samples = []
    places = np.linspace(0, len(indices) - 1, min(num_images, len(indices)))
    for index in indices[places.astype(int)].tolist():
        boxes, labels = find(index)
        # No random number is drawn.
        data = dict(dataset.get_data_info(index), proposals=boxes, rng=None)
        try:
            data = whole(dataset.loader(data))
        except ImageError:
            continue
        visible = data['visible'][0]
        if visible.any():
            samples.append(
                dict(
                    views=[torch.from_numpy(np.ascontiguousarray(data['views'][0]))],
                    boxes=[torch.from_numpy(data['boxes'][0][visible])],
                    valid=[torch.ones(int(visible.sum()), dtype=torch.bool)],
                    labels=torch.from_numpy(labels[visible]),
                    index=index,
                )
            )
    most = max((len(each['labels']) for each in samples), default=0)
    for each in samples:
        missing = most - len(each['labels'])
        each['boxes'] = [pad(each['boxes'][0], (0, 0, 0, missing))]
        each['valid'] = [pad(each['valid'][0], (0, missing))]
        each['labels'] = pad(each['labels'], (0, missing), value=-1)
    return samples


def measure_classes(model: SoCo, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Look whether the nearest annotated object is of the same class.

    Args:
        model (SoCo): The model, as in :func:`measure_objects`.
        samples (Sequence[dict]): What :func:`make_annotated_samples` returns.

    Returns:
        dict: ``same_class``, the mean over classes, see :func:`nearest_class`;
        ``chance``; and the number of ``objects`` and ``classes``.
    """
    features, labels = [], []
    for _, batch in split_evenly(samples):
        with kept_random_state(), torch.no_grad(), batch_statistics(model):
            (found,) = view_features(model, batch)
        own: Any = batch['labels']
        features.append(found[own >= 0])
        labels.append(own[own >= 0])
    known = torch.cat(labels)
    return dict(
        same_class=nearest_class(torch.cat(features), known),
        chance=nearest_class_by_chance(known),
        objects=len(known),
        classes=int((known.unique(return_counts=True)[1] > 1).sum()),
    )


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
        # Of the GPU in use only: of several, it would warn that there are several.
        used = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(used):
            yield
    finally:
        random.setstate(numbers)
        np.random.set_state(state)
