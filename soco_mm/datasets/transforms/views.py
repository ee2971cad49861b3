from collections.abc import Sequence
from math import exp, log, sqrt

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from soco_mm.proposals.pixels import explain_sizes, scale_between
from soco_mm.registry import TRANSFORMS
from soco_mm.utils import SoCoError, read_image
from soco_mm.utils.stretch import as_percentiles

# A proposal is visible in a view if at least this much of it remains, in pixels.
MIN_VISIBLE = 1.0


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read ``img_path`` into ``image``: RGB, uint8, (H, W, 3).

    ``proposals`` are scaled if the image was resized since they were made, so
    that it no longer has ``proposals_size``.

    Args:
        stretch (tuple, optional): The percentiles of an image of more than 8
            bits that become 0 and 255, see
            :func:`soco_mm.utils.stretch.reduce_depth`. Defaults to None, the
            upper 8 of 16 bits are used.

    Raises:
        ImageError: If the image cannot be read.
        SoCoError: If it has a size that its boxes cannot be scaled to.
    """

    def __init__(self, stretch: tuple[float, float] | None = None) -> None:
        self.stretch = as_percentiles(stretch)

    def transform(self, results: dict) -> dict:
        """Read the image."""
        image = read_image(results['img_path'], self.stretch)
        size = image.shape[1::-1]
        known = results.get('proposals_size', size)
        if known != size:
            scale = scale_between(known, size)
            if scale is None:
                raise SoCoError(f'{results["img_path"]} {explain_sizes(known, size)}')
            results['proposals'] = results['proposals'] * np.float32([*scale, *scale])
            results['proposals_size'] = size
        results['image'] = image
        return results


@TRANSFORMS.register_module()
class ConstructViews(BaseTransform):
    """Make the views of an image; the proposals follow (Section 3.2).

    Adds ``views``, a list of square RGB images, uint8, (S, S, 3); ``boxes``, a
    list of the proposals in pixels of each view, clipped to it, float32,
    (P, 4); and ``visible``, a list of booleans (P,), false where less than a
    pixel of the proposal remains.

    Args:
        views (Sequence[dict]): How to make each view, with the keys

            - ``size`` (int): Side of the view in pixels.
            - ``source`` (int, optional): Index of the earlier view it is made
              from; the image itself if not given.
            - ``crop_scale`` (tuple, optional): Range of the area of a random
              crop, as a share of the source; no crop if not given.
            - ``crop_ratio`` (tuple, optional): Range of width / height of
              the crop, in pixels of the source. Defaults to (3/4, 4/3).
        max_tries (int): Draw the crops up to this many times, until each view
            shares enough proposals with the first: two at the first try, one
            at later ones. The last draw is used as it is. The authors'
            released code tries 5 times. Defaults to 1.

    Raises:
        ValueError: If a ``source`` is not an earlier view, or ``max_tries``
            is less than 1.
    """

    def __init__(self, views: Sequence[dict], max_tries: int = 1) -> None:
        if max_tries < 1:
            raise ValueError(f'max_tries must be 1 or more, but is {max_tries}.')
        for index, view in enumerate(views):
            source = view.get('source')
            if source is not None and not 0 <= source < index:
                raise ValueError(
                    f'views[{index}] must be made from an earlier view, but its '
                    f'source is {source}.'
                )
        self.specs = [dict(view) for view in views]
        self.max_tries = max_tries

    def transform(self, results: dict) -> dict:
        """Make the views and map the boxes."""
        proposals = np.asarray(results['proposals'], np.float32).reshape(-1, 4)
        height, width = results['image'].shape[:2]
        for attempt in range(self.max_tries):
            crops = self._draw_crops(results['rng'], width, height)
            boxes, visible = self._map_boxes(proposals, crops)
            common = [(visible[0] & other).sum() for other in visible[1:]]
            if min(common, default=0) >= (1 if attempt else 2):
                break
        views: list[dict] = []
        for spec, (left, top, crop_w, crop_h) in zip(self.specs, crops):
            index = spec.get('source')
            source = results['image'] if index is None else views[index]
            views.append(
                resize(source[top : top + crop_h, left : left + crop_w], spec['size'])
            )
        results['views'] = views
        results['boxes'], results['visible'] = boxes, visible
        return results

    def _draw_crops(
        self, rng: np.random.Generator, width: int, height: int
    ) -> list[tuple[int, int, int, int]]:
        """Left, top, width and height of each view in its source."""
        crops = []
        for spec in self.specs:
            if spec.get('source') is None:
                side = width, height
            else:
                side = (self.specs[spec['source']]['size'],) * 2
            if spec.get('crop_scale') is None:
                crops.append((0, 0, *side))
            else:
                crops.append(
                    random_crop(
                        rng,
                        *side,
                        spec['crop_scale'],
                        spec.get('crop_ratio', (3 / 4, 4 / 3)),
                    )
                )
        return crops

    def _map_boxes(
        self, proposals: np.ndarray, crops: Sequence[tuple[int, int, int, int]]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Boxes in pixels of each view, and which of them are visible."""
        # The affine map from pixels of the image to those of each view: scale
        # (x, y) and shift (x, y).
        maps: list = []
        boxes, visible = [], []
        for spec, (left, top, width, height) in zip(self.specs, crops):
            if spec.get('source') is None:
                scale, shift = np.ones(2), np.zeros(2)
            else:
                scale, shift = maps[spec['source']]
            size = spec['size']
            factor = size / np.array([width, height])
            scale, shift = scale * factor, (shift - (left, top)) * factor
            maps.append((scale, shift))
            box = proposals * np.tile(scale, 2) + np.tile(shift, 2)
            box = box.clip(0, size).astype(np.float32)
            boxes.append(box)
            visible.append((box[:, 2:] - box[:, :2] >= MIN_VISIBLE).all(axis=1))
        return boxes, visible


@TRANSFORMS.register_module()
class ViewRandomFlip(BaseTransform):
    """Flip each view horizontally, independently, and its boxes.

    Args:
        prob (float): Probability. Defaults to 0.5.
    """

    def __init__(self, prob: float = 0.5) -> None:
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Flip some of the views."""
        for index, view in enumerate(results['views']):
            if results['rng'].random() >= self.prob:
                continue
            results['views'][index] = cv2.flip(view, 1)
            for key in ('boxes', 'view_proposals'):
                if key in results:
                    boxes = results[key][index].copy()
                    boxes[:, [0, 2]] = view.shape[1] - boxes[:, [2, 0]]
                    results[key][index] = boxes
        return results


def resize(image: np.ndarray, size: int) -> np.ndarray:
    """Resize to a square, by area where the image gets smaller."""
    smaller = min(image.shape[:2]) >= size
    return cv2.resize(
        image,
        (size, size),
        interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR,
    )


def random_crop(
    rng: np.random.Generator,
    width: int,
    height: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> tuple[int, int, int, int]:
    """Draw a crop of random area and aspect ratio.

    Args:
        rng (np.random.Generator): Random numbers.
        width (int): Width of the image.
        height (int): Height of the image.
        scale (tuple): Range of the area, as a share of the image's; uniform.
        ratio (tuple): Range of width / height; uniform in its logarithm.

    Returns:
        tuple: left, top, width, height in pixels. If ten draws do not fit
        into the image, its largest central part with an allowed ratio.
    """
    crop: tuple[int, int] | None = None
    for _ in range(10):
        area = width * height * rng.uniform(*scale)
        aspect = exp(rng.uniform(log(ratio[0]), log(ratio[1])))
        crop = round(sqrt(area * aspect)), round(sqrt(area / aspect))
        if 0 < crop[0] <= width and 0 < crop[1] <= height:
            return (
                int(rng.integers(width - crop[0] + 1)),
                int(rng.integers(height - crop[1] + 1)),
                *crop,
            )
    aspect = min(max(width / height, ratio[0]), ratio[1])
    crop_w = max(1, min(width, round(height * aspect)))
    crop_h = max(1, min(height, round(width / aspect)))
    return (width - crop_w) // 2, (height - crop_h) // 2, crop_w, crop_h
