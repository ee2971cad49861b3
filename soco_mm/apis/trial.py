"""A training that is built before anything of it is written."""

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from soco_mm.coco import Annotations, write_annotations
from soco_mm.engine import unwrap_model
from soco_mm.engine.config import build_trial, building, quiet
from soco_mm.proposals import Proposals, ProposalStore
from soco_mm.proposals.listing import ImageSet
from soco_mm.utils import ImageError, SoCoError, read_heads

from .initial_weights import check_initial_weights

TRIED = 8  # images, of which one should be readable


def try_pretraining(cfg: Config, images: ImageSet) -> None:
    """Build a pretraining on some of its images, and load one of them.

    Args:
        cfg (Config): The config, with batches that the images fill; not
            changed.
        images (ImageSet): The images, of which no proposals are needed.

    Raises:
        SoCoError: If something cannot be built, or an image not be made into
            views.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = copy.deepcopy(cfg)
        loader = trial.train_dataloader
        paths = images.paths[: 2 * loader.batch_size]
        heads = list(read_heads(images.root, paths[:TRIED]))
        readable = [not isinstance(head, ImageError) for head in heads]
        sizes = [
            head.size if known else (1, 1) for head, known in zip(heads, readable)
        ] + [(1, 1)] * len(paths)
        ProposalStore.write(
            folder + '/store',
            dict(generator={}),
            [
                Proposals(path, np.float32([[0, 0, *size]]), size, 0)
                for path, size in zip(paths, sizes)
            ],
        )
        loader.dataset.update(data_root=images.root, proposals=folder + '/store')
        loader.dataset.pop('num_images', None)
        runner = build_trial(trial)
        with quiet():
            check_initial_weights(trial, unwrap_model(runner.model))
        # Without one, the proposals will say why.
        index = readable.index(True) if any(readable) else None
        load_sample(runner, index)


def load_sample(runner: Runner, index: int | None) -> None:
    """Load a sample, as a worker process does.

    Raises:
        SoCoError: If the pipeline fails on it, for other reasons than that
            the image cannot be read.
    """
    if index is None:
        return
    dataset = runner.train_dataloader.dataset
    with quiet(), building('a data pipeline'):
        try:
            runner.train_dataloader.collate_fn([dataset[index]])
        except (ImageError, SoCoError):
            pass


def try_finetuning(cfg: Config, train: Annotations, val: Annotations) -> Runner:
    """Build the training of a detector on some of its images.

    Args:
        cfg (Config): The config; not changed.
        train (Annotations): What it is trained with.
        val (Annotations): What it is evaluated on.

    Returns:
        Runner: The runner.

    Raises:
        SoCoError: If something cannot be built.
    """
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    with tempfile.TemporaryDirectory() as folder:
        text = cfg.pretty_text
        for each in (train, val):
            few = first_images(
                each, Path(folder, each.path.name), 2 * cfg.train_dataloader.batch_size
            )
            write_annotations(few, empty=each is val)
            text = text.replace(repr(str(each.path.absolute())), repr(str(few.path)))
        trial = Config.fromstring(text, '.py')
        with DefaultScope.overwrite_default_scope('mmdet'):
            return build_trial(trial)


def first_images(annotations: Annotations, path: Path, number: int) -> Annotations:
    """The first images with objects alone, under another path."""
    ids = list(annotations.boxes)[:number]
    boxes = {each: annotations.boxes[each] for each in ids}
    content = dict(
        annotations.content,
        images=[each for each in annotations.content['images'] if each['id'] in boxes],
        annotations=[
            each
            for each in annotations.content['annotations']
            if each['image_id'] in boxes
        ],
    )
    return replace(annotations, path=path, boxes=boxes, content=content)
