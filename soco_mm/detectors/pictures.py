"""Annotated and predicted objects of some images."""

from pathlib import Path

import numpy as np
import torch
from mmengine.runner import Runner

from soco_mm.coco import Annotations, decode_mask
from soco_mm.engine import unwrap_model
from soco_mm.utils.stretch import Stretch
from soco_mm.visualization import write_png
from soco_mm.visualization.detections import draw_detections, draw_objects

from .stretching import detector_stretch

SHOWN = 6  # images in a picture


def draw_annotations(
    train: Annotations, val: Annotations, stretch: Stretch = None
) -> np.ndarray:
    """Draw some annotated images, first those whose boxes EXIF may have moved.

    Args:
        train (Annotations): The annotations to train on.
        val (Annotations): The annotations to evaluate on; an image that is in both is
            drawn once.
        stretch (tuple, optional): See :func:`soco_mm.utils.read_image`. Defaults to
            None.

    Returns:
        np.ndarray: RGB, uint8, (H, W, 3).
    """
    samples: dict = {}
    for each in (train, val):
        picked = pick(list(each.boxes), SHOWN)
        turned = [key for key in each.turned if key in each.boxes]
        for key in list(dict.fromkeys([*turned, *picked]))[:SHOWN]:
            path = each.root / each.images[key]
            samples.setdefault(path, dict(path=path, boxes=each.boxes[key]))
    return draw_objects(list(samples.values()), train.classes, stretch=stretch)


def pick(ids: list, num_picked: int) -> list:
    """Up to ``num_picked`` of the ids, evenly spaced."""
    return ids[:: max(1, len(ids) // num_picked)][:num_picked]


@torch.no_grad()
def draw_predictions(runner: Runner, val: Annotations, path: Path) -> None:
    """Draw annotated and predicted objects of some images side by side.

    Args:
        runner (Runner): A runner with the trained detector.
        val (Annotations): The annotations to evaluate on.
        path (Path): The PNG file to write.
    """
    dataset = runner.val_dataloader.dataset
    model = unwrap_model(runner.model).eval()
    picked = pick(list(val.boxes), SHOWN)
    indices = {
        dataset.get_data_info(index)['img_id']: index for index in range(len(dataset))
    }
    samples = []
    for image_id in picked:
        batch = dataset[indices[image_id]]
        batch = dict(inputs=[batch['inputs']], data_samples=[batch['data_samples']])
        found = model.test_step(batch)[0].pred_instances.cpu()
        sample = dict(
            path=val.root / val.images[image_id],
            boxes=val.boxes[image_id],
            found=found.bboxes.numpy(),
            scores=found.scores.numpy(),
            labels=found.labels.numpy(),
        )
        if 'masks' in found:
            info = dataset.get_data_info(indices[image_id])
            sample.update(
                masks=[
                    decode_mask(each['mask'], info['height'], info['width'])
                    for each in info['instances']
                    if not each['ignore_flag']
                ],
                found_masks=found.masks.numpy(),
            )
        samples.append(sample)
    stretch = detector_stretch(runner.cfg)
    write_png(path, draw_detections(samples, val.classes, stretch=stretch))
