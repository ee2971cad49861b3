"""What a run sees, and which objects its model finds alike, as pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor
from torch.nn.functional import normalize
from torch.utils.data import default_collate

from soco_mm.checkpoint.model_config import (
    is_in,
    types_in,
    unregistered,
    without_initialisation,
)
from soco_mm.checkpoint.pretrained import Pretrained
from soco_mm.datasets import ObjectViewDataset
from soco_mm.engine.levels import BoxLevels
from soco_mm.engine.object_metrics import kept_random_state, make_samples, view_features
from soco_mm.engine.preview import build_dataset, drawn_views
from soco_mm.models import SoCo
from soco_mm.models.utils.batch_statistics import batch_statistics
from soco_mm.models.utils.object_metrics import same_objects
from soco_mm.registry import DATASETS, TRANSFORMS
from soco_mm.utils import ImageError, SoCoError, UsageError
from soco_mm.visualization.drawing import encode_jpeg, object_colors
from soco_mm.visualization.proposal_galleries import DRAWN_BOXES, draw_picture
from soco_mm.visualization.views import describe_view, draw_view

DRAWN_IMAGES = 3
SEARCHED_IMAGES = 24  # among whose objects the nearest are looked for
OBJECTS = 4
NEIGHBOURS = 6
CROP_SIDE = 112  # pixels of the longer side
MARGIN = 0.1  # of the sides of the box, around it
Picture: TypeAlias = tuple[str, bytes]  # a caption and a JPEG


@dataclass
class ObjectPictures:
    """An object, its other views, and the objects whose features are nearest.

    Attributes:
        views (list[Picture]): The object in each view.
        neighbours (list[Picture]): Other objects in the first view, the nearest
            first.
    """

    views: list[Picture]
    neighbours: list[Picture]


def check_components(cfg: Config) -> None:
    """Refuse a config with components that are not registered.

    MMEngine would import and call whatever ``type`` names.

    Raises:
        SoCoError: If it has no data set or no model, or such a component.
    """
    dataset = cfg.get('train_dataloader', {}).get('dataset')
    if dataset is None or 'model' not in cfg:
        raise SoCoError('the config of the run holds no data set or no model')
    known = [DATASETS, TRANSFORMS]
    for name in types_in(dataset):
        if not is_in(known, str(name).removeprefix('soco_mm.')):
            raise SoCoError(f'{name} in its data set is not a component of this plugin')
    for name in unregistered(without_initialisation(cfg.model)):
        raise SoCoError(f'{name} in its model is not a component that is installed')


def draw_views(cfg: Config) -> list[tuple[str, list[Picture]]]:
    """Draw some images with their proposals and all views, as training sees them.

    Args:
        cfg (Config): The config of the training.

    Returns:
        list[tuple]: Name of each image, and its pictures: some of the proposals,
        then the views.

    Raises:
        SoCoError: If the data set cannot be built, is not one of objects, or
            none of its images can be read.
    """
    check_components(cfg)
    dataset = build_dataset(cfg)
    if not isinstance(dataset, ObjectViewDataset):
        raise SoCoError(f'{type(dataset).__name__} is not a data set of objects')
    levels = BoxLevels(cfg)
    rows = []
    number = min(DRAWN_IMAGES, len(dataset))
    for index in np.linspace(0, len(dataset) - 1, number).astype(int).tolist():
        try:
            info = dataset.load_image(index)
        except ImageError:  # deleted since the proposals were made
            continue
        image, boxes = info['image'], info['proposals']
        drawn = f', {DRAWN_BOXES} drawn' * (len(boxes) > DRAWN_BOXES)
        pictures = [(f'{len(boxes)} proposals{drawn}', draw_picture(image, boxes))]
        sample = dataset[index]
        views = drawn_views(sample, levels.names(sample, image.shape[1::-1]))
        for order, view in enumerate(views, 1):
            picture = draw_view(view, object_colors(len(view.boxes)))
            pictures.append((describe_view(order, view), encode_jpeg(picture)))
        rows.append((Path(info['img_path']).name, pictures))
    if not rows:
        raise SoCoError(f'the images in {dataset.data_root} cannot be read any more')
    return rows


def draw_objects(cfg: Config, checkpoint: Path) -> list[ObjectPictures]:
    """Draw some objects in all views, and their nearest neighbours.

    Near is a large cosine similarity of the features of the head, with batch
    norm by the statistics of the batch, as in :func:`measure_objects`.
    Neighbours are looked for in the first view of ``SEARCHED_IMAGES`` images;
    boxes of the same image that overlap the object do not count.

    Args:
        cfg (Config): The config of the training.
        checkpoint (Path): A checkpoint of it.

    Returns:
        list[ObjectPictures]: The objects.

    Raises:
        SoCoError: If the data set or the model cannot be built or read, or there
            are no two images.
    """
    check_components(cfg)
    samples = make_samples(cfg, SEARCHED_IMAGES, None)
    if len(samples) < 2:
        raise SoCoError('fewer than two of its images can be read')
    net = Pretrained.read(checkpoint).net
    if not isinstance(net, SoCo):
        raise SoCoError(f'{type(net).__name__} is not a model of objects')
    batch = default_collate(samples)
    with kept_random_state(), torch.no_grad(), batch_statistics(net):
        features = [normalize(each, dim=-1) for each in view_features(net, batch)]
    valid = torch.stack(batch['valid'])
    images, numbers = batch['valid'][0].nonzero(as_tuple=True)
    gallery = features[0][images, numbers]
    boxes = batch['boxes'][0][images, numbers]
    same = same_objects(boxes, images)
    pictures = []
    for image, number in choose_objects(valid):
        query = features[0][image, number]
        own = ((images == image) & (numbers == number)).nonzero().item()
        similarity = (gallery @ query).masked_fill(same[own], -torch.inf)
        similarity[own] = -torch.inf
        pictures.append(
            ObjectPictures(
                views=[
                    (
                        f'V{view + 1}'
                        + f', {found[image, number] @ query:.2f}' * (view > 0),
                        crop(batch, view, image, number),
                    )
                    for view, found in enumerate(features)
                    if valid[view, image, number]
                ],
                neighbours=[
                    (
                        f'{similarity[each]:.2f}',
                        crop(batch, 0, int(images[each]), int(numbers[each])),
                    )
                    for each in similarity.argsort(descending=True)[:NEIGHBOURS]
                    if similarity[each] > -torch.inf
                ],
            )
        )
    return pictures


def choose_objects(valid: Tensor) -> list[tuple[int, int]]:
    """The first object of some images that as many views show as any object.

    Those are all views, unless each object belongs to some of them (``view_sets``).

    Args:
        valid (Tensor): Whether a view shows it, bool (V, N, K).

    Returns:
        list[tuple[int, int]]: Up to ``OBJECTS`` pairs of image and object, of those
        that the first view shows and at least one other.
    """
    views = valid.sum(0) * valid[0]
    seen = (views == views.max()) & (views > 1)
    images = seen.any(1).nonzero()[:, 0]
    picked = torch.linspace(0, len(images) - 1, min(OBJECTS, len(images))).long()
    return [(int(each), int(seen[each].int().argmax())) for each in images[picked]]


def crop(batch: dict[str, list[Tensor]], view: int, image: int, number: int) -> bytes:
    """An object with a margin, cut out of a view, as a JPEG."""
    picture = batch['views'][view][image].numpy()
    x1, y1, x2, y2 = batch['boxes'][view][image, number].tolist()
    across, down = MARGIN * (x2 - x1), MARGIN * (y2 - y1)
    height, width = picture.shape[:2]
    left, top = max(0, int(x1 - across)), max(0, int(y1 - down))
    right = min(width, max(left + 1, round(x2 + across)))
    bottom = min(height, max(top + 1, round(y2 + down)))
    cut = picture[top:bottom, left:right]
    factor = CROP_SIDE / max(cut.shape[:2])
    size = [max(1, round(side * factor)) for side in cut.shape[1::-1]]
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return encode_jpeg(cv2.resize(cut, size, interpolation=method))


def pictures_of(
    cfg: Config, checkpoint: Path | None
) -> tuple[list[tuple[str, list[Picture]]], list[ObjectPictures], list[str]]:
    """All pictures of a run; what cannot be drawn is left out with a sentence.

    Args:
        cfg (Config): Its config.
        checkpoint (Path, optional): Its last checkpoint.

    Returns:
        tuple: See :func:`draw_views` and :func:`draw_objects`; and sentences.
    """
    views: list = []
    objects: list = []
    notes = []
    try:
        views = draw_views(cfg)
    except (SoCoError, UsageError, ImageError) as error:
        notes.append(f'Views are not drawn: {error}')
    if checkpoint is None:
        notes.append('Nearest objects are not drawn: there is no checkpoint yet.')
        return views, objects, notes
    try:
        objects = draw_objects(cfg, checkpoint)
        if not objects:
            notes.append('Nearest objects are not drawn: no object is in two views.')
    except (SoCoError, UsageError, ImageError) as error:
        notes.append(f'Nearest objects are not drawn: {error}')
    return views, objects, notes
