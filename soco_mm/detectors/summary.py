"""Summary of what a fine-tuning uses, as text."""

import os
from collections import Counter
from pathlib import Path

from mmengine.config import Config

from soco_mm.coco import SAME_NAMES, Annotations

MAX_DETECTIONS = 100  # per image, in COCO's AP


def describe_finetuning(cfg: Config, train: Annotations, val: Annotations) -> str:
    """What will be trained, as one sentence."""
    masks = ''
    if 'segm' in cfg.val_evaluator.metric:
        masks = ' with masks'
    elif train.masks or val.masks:
        reason = 'the detector has no mask head'
        if train.masks != val.masks:
            without = val if train.masks else train
            reason = f'there are none in {without.path}'
        masks = f' only by their boxes ({reason})'
    left_out = len(train.images) - len(train.boxes)
    some = f' ({left_out} more have none and are left out)' * bool(left_out)
    # Crowds count neither way.
    empty = len(val.images) - len(
        {each['image_id'] for each in val.content['annotations']}
    )
    none = f' ({empty} have no object: what is found there is wrong)' * bool(empty)
    names = ', '.join(train.classes[:5]) + ', ...' * (len(train.classes) > 5)
    start = 'pretrained weights' if cfg.load_from else 'random weights'
    return (
        f'Training {cfg.model.type} on {len(train.boxes)} images with '
        f'{train.num_boxes} objects{masks}{some}, {len(train.classes)} '
        f'classes ({names}); {cfg.train_cfg.max_epochs} epochs, '
        f'{cfg.train_dataloader.batch_size} images per step, from {start}; '
        f'evaluated on {len(val.images)} images{none}{shared(train, val)}'
    )


def describe_account(split: str, annotations: Annotations, drawn: Path) -> list[str]:
    """What was left out of a file or changed, one line each.

    Args:
        split (str): What it is for, train or val.
        annotations (Annotations): What is in the file.
        drawn (Path): The picture of annotated images, to look at.

    Returns:
        list[str]: The lines; empty if there is nothing to say.
    """
    lines = [f'  {line}' for line in annotations.account.lines()]
    if absent := annotations.absent:
        lines.append(f'  classes without a category: {", ".join(absent)}')
    if turned := annotations.turned:
        lines.append(
            f'  {len(turned)} photos are turned or mirrored by EXIF, and their'
            ' sizes do not tell whether the boxes belong to the photo as '
            f'it is shown (for example {annotations.images[turned[0]]}). Look at '
            f'{drawn}: if boxes lie next to their objects, remove the '
            'orientation from the files'
        )
    crowded = sum(
        max(Counter(label for *_, label in boxes).values()) > MAX_DETECTIONS
        for boxes in annotations.boxes.values()
    )
    if crowded:
        lines.append(
            f'  {crowded} images have more than {MAX_DETECTIONS} objects of '
            "a class; COCO's AP counts only this many detections per image, "
            'and most detectors make no more'
        )
    return [f'{split}, {annotations.path}:', *lines] if lines else []


def shared(train: Annotations, val: Annotations) -> str:
    """A sentence on images that are trained with and evaluated on."""
    trained, evaluated = (
        {os.path.realpath(each.root / each.images[key]) for key in keys}
        for each, keys in ((train, train.boxes), (val, val.images))
    )
    if not trained & evaluated:
        return ''
    return (
        f'. {len(trained & evaluated)} of them are also trained with, '
        f'which makes the metrics too good{SAME_NAMES * (train.path != val.path)}'
    )
