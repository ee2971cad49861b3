import html
import os
import re
from pathlib import Path
from typing import List, Optional, Union
from urllib.parse import quote

import numpy as np
from mmengine.config import Config
from torch import Tensor

from soco_mm.registry import DATASETS, MODELS
from soco_mm.utils import (ImageError, SoCoError, UsageError, atomic_write,
                           make_writable, read_image)
from soco_mm.visualization import DrawnView, draw_sample, write_png
from .proposals import printable
from .train import load_config

INDEX = 'index.html'
FINEST = 2  # the first level of a pyramid is P2


def browse(config: Union[str, Path],
           out: Optional[Union[str, Path]] = None,
           number: int = 20,
           start: int = 0,
           epoch: int = 0,
           options: Optional[dict] = None) -> List[Path]:
    """Draw what training will see, from its own data pipeline.

    For each image a picture: its proposals, then its views side by side, the
    same object in the same colour, with the pyramid level written at each
    box; proposals that do not count in a view are dashed. And a page that
    shows all of them.

    Args:
        config (str | Path): The config of the training, or its name under
            ``configs/soco``.
        out (str | Path, optional): The folder to write. Defaults to None,
            ``work_dirs/browse/NAME_OF_CONFIG``.
        number (int): Of how many images. Defaults to 20.
        start (int): Index of the first. Defaults to 0.
        epoch (int): Of which epoch, from 0. Defaults to 0.
        options (dict, optional): Values of the config to set, by dotted key.
            Defaults to None.

    Returns:
        list[Path]: The pictures, and the page as the last.

    Raises:
        UsageError: If there are fewer images than ``start``, or ``out``
            cannot be written.
        SoCoError: If the proposals or none of the images can be read.
    """
    cfg = load_config(config, options or {})
    out = Path(out or Path('work_dirs/browse', Path(config).stem))
    data = cfg.train_dataloader.dataset
    seed = cfg.get('randomness', {}).get('seed')
    if seed is not None:
        data.setdefault('seed', seed)
    dataset = DATASETS.build(data)
    if start >= len(dataset):
        raise UsageError(f'The first image is number {start}, but there are '
                         f'{len(dataset)}, numbered from 0.')
    levels = box_levels(cfg)
    make_writable(out)
    made, entries = [], []
    for index in range(start, min(start + number, len(dataset))):
        info = dataset.get_data_info(index)
        try:
            image = read_image(info['img_path'])
        except ImageError as error:
            print(f'{printable(info["img_path"])} {error}', flush=True)
            continue
        sample = dataset[epoch * len(dataset) + index]
        views = [
            DrawnView(view.numpy(), boxes.numpy(), valid.numpy(),
                      levels(boxes)) for view, boxes, valid in zip(
                          sample['views'], sample['boxes'], sample['valid'])
        ]
        path = out / picture_name(index, info['img_path'])
        write_png(path, draw_sample(image, info['proposals'], views))
        made.append(path)
        name = os.path.relpath(info['img_path'], dataset.data_root)
        entries.append((path.name, f'{index}: {printable(name)}'))
    if not made:
        raise SoCoError(f'None of the images in {dataset.data_root} can be '
                        'read. Set train_dataloader.dataset.data_root to the '
                        'folder that the proposals were made of.')
    atomic_write(out / INDEX, make_page(Path(config).stem, entries))
    return [*made, out / INDEX]


def box_levels(cfg: Config):
    """How the model names the level of each box of a view.

    Returns:
        Callable: From boxes, (K, 4), to a list of K names; of none for a
        model with a single level.
    """
    extractor = MODELS.build(cfg.model.roi_head.bbox_roi_extractor)

    def levels(boxes: Tensor) -> List[str]:
        if len(extractor.roi_layers) == 1:
            return []
        return [
            f'P{FINEST + level}'
            for level in extractor.assign_levels(boxes).tolist()
        ]

    return levels


def picture_name(index: int, path: str) -> str:
    """Name of a picture: the image's, without what file systems dislike."""
    stem = re.sub(r'[^\w.-]+', '_', printable(Path(path).stem))
    return f'{index:06d}_{stem[:80]}.png'


def make_page(title: str, entries: list) -> str:
    """A page that shows pictures below each other."""
    figures = '\n'.join(
        f'<figure><figcaption>{html.escape(text)}</figcaption>'
        f'<a href="{quote(name)}"><img loading="lazy" src="{quote(name)}" '
        f'alt="{html.escape(text)}"></a></figure>' for name, text in entries)
    title = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; background: #fff;
  margin: 2em auto; padding: 0 1em; max-width: 1600px; }}
figure {{ margin: 0 0 2em; }}
figcaption {{ font-weight: 600; overflow-wrap: anywhere; }}
img {{ max-width: 100%; height: auto; border: 1px solid #ddd; }}
p {{ max-width: 46em; color: #555; }}
</style></head><body>
<h1>What {title} sees</h1>
<p>Each image with some of its proposals, then its views after all augmentation.
An object has one colour in all views; at its box stands the pyramid level that
its features come from. Dashed boxes do not count in that view.</p>
{figures}
</body></html>
"""
