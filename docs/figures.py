"""Draw the figures of the documentation with the live pipeline.

    python docs/figures.py [OUT]

Proposals, views, boxes and pyramid levels come from the recipe
``soco_r50_fpn_100e`` on the photos of demo/, so that a picture shows what a
training sees. OUT is docs/images by default.
"""

import argparse
import tempfile
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image
from torch.utils.data import Dataset

import soco_mm
from soco_mm.cli import run
from soco_mm.engine.config import load_config
from soco_mm.engine.levels import BoxLevels
from soco_mm.engine.preview import build_dataset, drawn_views
from soco_mm.proposals import ProposalFilter, SelectiveSearch
from soco_mm.utils import read_image
from soco_mm.visualization import (
    DrawnView,
    draw_boxes,
    draw_sample,
    draw_view,
    object_colors,
)
from soco_mm.visualization.drawing import join, label

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / 'demo/images'
RECIPE = 'soco_r50_fpn_100e'
PHOTO = 'chelsea.jpg'
LONGEST = 900  # pixels of a figure's width
COLORS = 256
PHOTOMETRIC = (
    'ViewColorJitter',
    'ViewRandomGrayscale',
    'ViewGaussianBlur',
    'ViewSolarize',
)


def load(store: Path, left_out: tuple[str, ...] = ()) -> Config:
    """The recipe on the demo photos, without some of its transforms."""
    cfg = load_config(
        RECIPE,
        {
            'train_dataloader.dataset.data_root': str(PHOTOS),
            'train_dataloader.dataset.proposals': str(store),
        },
    )
    data = cfg.train_dataloader.dataset
    data.pipeline = [each for each in data.pipeline if each['type'] not in left_out]
    return cfg


def index_of(dataset: Dataset, name: str) -> int:
    """The index of a photo."""
    names = [Path(dataset.store.path(i)).name for i in range(len(dataset))]
    return names.index(name)


def views_of(cfg: Config, name: str, epoch: int) -> tuple[dict, list[DrawnView]]:
    """A photo with its proposals, and its views in an epoch."""
    dataset = build_dataset(cfg)
    index = index_of(dataset, name)
    info, sample = dataset.load_image(index), dataset[epoch * len(dataset) + index]
    names = BoxLevels(cfg).names(sample, info['image'].shape[1::-1])
    return info, drawn_views(sample, names)


def fullest_epoch(cfg: Config, name: str, epochs: int = 40) -> int:
    """The first epoch in which most objects are seen in all views.

    Among equals, the one whose objects are on the most pyramid levels.
    """

    def worth(epoch: int) -> tuple[int, int]:
        views = views_of(cfg, name, epoch)[1]
        return int(views[1].valid.sum()), len({*views[0].levels, *views[2].levels})

    return max(range(epochs), key=worth)


def draw_proposals() -> np.ndarray:
    """Selective search on a photo: all boxes, and those the filter keeps."""
    image = read_image(PHOTOS / PHOTO)
    boxes = SelectiveSearch(scale=500, sigma=0.9, min_size=10)(image, None)
    height, width = image.shape[:2]
    kept, _ = ProposalFilter(max_aspect=3, size_range=(0.3, 0.8))(boxes, width, height)
    return join(
        [
            label(draw_boxes(image, boxes, thickness=1), f'{len(boxes)} boxes found'),
            label(draw_boxes(image, kept, thickness=2), f'{len(kept)} kept'),
        ],
        axis=1,
    )


def draw_levels(cfg: Config) -> np.ndarray:
    """The same objects in V1 and V3, a tag with the level at each."""
    rows = []
    for name in ('chelsea.jpg', 'astronaut.jpg'):
        _, views = views_of(cfg, name, fullest_epoch(cfg, name))
        tiles = [draw_view(view, object_colors(len(view.boxes))) for view in views]
        tiles = [label(tile, f'V{n}') for n, tile in enumerate(tiles, 1) if n != 2]
        rows.append(join(tiles, axis=1))
    return join(rows, axis=1)


def draw_jitter(plain: Config, jittered: Config) -> np.ndarray:
    """The boxes of a view before box jitter (dashed) and after it."""
    epoch = fullest_epoch(plain, PHOTO)
    before = views_of(plain, PHOTO, epoch)[1][0]
    after = views_of(jittered, PHOTO, epoch)[1][0]
    both = DrawnView(
        after.image,
        np.concatenate([before.boxes, after.boxes]),
        np.concatenate([np.zeros_like(before.valid), after.valid]),
        [],
    )
    colors = object_colors(len(before.boxes))
    return label(draw_view(both, np.concatenate([colors, colors])), 'V1')


def save(path: Path, picture: np.ndarray) -> None:
    """Write a figure, no wider than a page and with a palette, so that it is small."""
    if picture.shape[1] > LONGEST:
        factor = LONGEST / picture.shape[1]
        picture = cv2.resize(
            picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA
        )
    # In place of RGB a palette: a third of the bytes.
    Image.fromarray(picture).quantize(COLORS).save(path, optimize=True)
    print(f'{path}  {path.stat().st_size // 1000} KB')


def draw_all(out: Path) -> None:
    """Draw all figures into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder, 'proposals')
        soco_mm.make_proposals(str(PHOTOS), store, num_workers=1)
        clean = load(store, PHOTOMETRIC)
        epoch = fullest_epoch(clean, PHOTO)
        info, views = views_of(load(store), PHOTO, epoch)
        save(out / 'proposals.png', draw_proposals())
        save(
            out / 'views.png',
            draw_sample(info['image'], info['proposals'], views),
        )
        save(out / 'levels.png', draw_levels(clean))
        save(
            out / 'jitter.png',
            draw_jitter(
                # Flips are drawn after the jitter, so that they would differ.
                load(store, (*PHOTOMETRIC, 'ViewRandomFlip', 'BoxJitter')),
                load(store, (*PHOTOMETRIC, 'ViewRandomFlip')),
            ),
        )


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('out', nargs='?', type=Path, default=ROOT / 'docs/images')
    arguments = parser.parse_args()
    run(lambda: draw_all(arguments.out))
