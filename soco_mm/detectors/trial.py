"""Build a fine-tuning before anything is written, to see whether it works."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from soco_mm.coco import Annotations, write_annotations
from soco_mm.engine.trial import build_trial


def try_finetuning(cfg: Config, train: Annotations, val: Annotations) -> Runner:
    """Build the training of a detector on some of its images.

    Args:
        cfg (Config): The config; not changed.
        train (Annotations): The annotations to train on.
        val (Annotations): The annotations to evaluate on.

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
            text = text.replace(repr(os.path.abspath(each.path)), repr(str(few.path)))
        trial = Config.fromstring(text, '.py')
        with DefaultScope.overwrite_default_scope('mmdet'):
            return build_trial(trial)


def first_images(annotations: Annotations, path: Path, num_images: int) -> Annotations:
    """Only the first images with objects, under another path."""
    ids = list(annotations.boxes)[:num_images]
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
