"""Which pyramid level a detector assigns an object to, from its config."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import isfinite, sqrt

from mmengine.config import Config
from torch import nn

from soco_mm.utils.class_names import class_name

from .pipelines import RESIZING, find_pipeline, transforms

# MMDetection's usual one, where a config says nothing.
USUAL_SCALE = (1333, 800)
# Of MMDetection's extractors and most anchors.
FINEST_SCALE = 56
ANCHOR_STRIDES = 8
FAR = 1e5  # regression ranges end with 1e8


def training_scale(cfg: Config) -> tuple[tuple[int, int], bool]:
    """The size of the images that a detector is trained with.

    The middle one of those in its training pipeline. Random factors around a
    size, as in large-scale jitter, are no such size; then that of its test
    pipeline counts.

    Args:
        cfg (Config): The detector's config.

    Returns:
        tuple: Longest and shortest side in pixels, and whether the aspect is
        kept.

    Example:
        >>> from mmengine.config import Config
        >>> from soco_mm.detectors.levels import training_scale
        >>> resize = dict(type='Resize', scale=(640, 480), keep_ratio=True)
        >>> data = dict(dataset=dict(pipeline=[resize]))
        >>> training_scale(Config(dict(train_dataloader=data)))
        ((640, 480), True)
    """
    for loader in ('train_dataloader', 'test_dataloader', 'val_dataloader'):
        try:
            pipeline = find_pipeline(cfg[loader].dataset)
            found = [size for each in transforms(pipeline) for size in sizes(each)]
        except (KeyError, AttributeError, TypeError, ValueError):
            continue  # a pipeline of another form
        if found:
            found.sort(key=lambda each: min(each[0]))
            return found[len(found) // 2]
    return USUAL_SCALE, True


def sizes(transform: Config) -> Iterator[tuple[tuple[int, int], bool]]:
    """The sizes to which a transform resizes images, and whether they keep aspect."""
    kind = class_name(transform)
    if kind not in RESIZING or 'ratio_range' in transform:
        return
    given = transform.get('scales', transform.get('scale'))
    if isinstance(given, (int, float)):
        given = (given, given)
    if given is None:
        return
    several = isinstance(given[0], Sequence)
    for size in given if several else [given]:
        keeps = bool(transform.get('keep_ratio', kind == 'FixScaleResize'))
        yield (int(max(size)), int(min(size))), keeps


def level_bounds(detector: nn.Module, strides: Sequence[int]) -> list[float]:
    """Upper bounds on the size of objects for all levels but the last.

    - Two stages: the level doubles with the size, from the extractor's
      ``finest_scale``.
    - Anchors: the border between two levels is the geometric mean of the
      largest anchor of the finer and the smallest one of the coarser level.
    - ``regress_ranges`` (FCOS) bound the distance to the farthest side, half
      of the size at the centre; ``scale_ranges`` (FoveaBox) overlap, and the
      border is in their middle.
    - Detectors that assign dynamically or not by size (RTMDet, YOLOX, FSAF,
      Deformable DETR): as with anchors of 8 strides, those of ATSS.

    Args:
        detector (nn.Module): The detector.
        strides (Sequence[int]): Strides of its levels.

    Returns:
        list[float]: Bounds on sqrt(area), in pixels of the detector's images,
        one less than levels.
    """
    number = len(strides) - 1
    usual = [sqrt(2) * ANCHOR_STRIDES * stride for stride in strides[:-1]]
    if getattr(detector, 'roi_head', None) is not None:
        extractor = detector.roi_head.bbox_roi_extractor
        extractor = extractor[0] if isinstance(extractor, nn.ModuleList) else extractor
        finest = getattr(extractor, 'finest_scale', FINEST_SCALE)
        return [finest * 2.0 ** (level + 1) for level in range(number)]
    head = getattr(detector, 'bbox_head', None)
    by_anchors = getattr(head, 'use_atss', False)  # VFNet
    ranges = None if by_anchors else getattr(head, 'regress_ranges', None)
    if ranges is not None and len(ranges) > number:
        bounds = [2 * bound for bound in borders(ranges)]
    elif ranges := getattr(head, 'scale_ranges', None):
        bounds = borders(ranges)
    elif anchors := getattr(
        getattr(head, 'prior_generator', None), 'base_anchors', None
    ):
        areas = [(each[:, 2:] - each[:, :2]).prod(1).sqrt() for each in anchors]
        if areas[0].max() <= 2 * strides[0]:  # FSAF's say where, not how large
            return usual
        bounds = borders([(each.min().item(), each.max().item()) for each in areas])
    else:
        return usual
    bounds = bounds[:number]
    good = bounds == sorted(bounds) and all(0 < each < FAR for each in bounds)
    return bounds if good and len(bounds) == number else usual


def borders(ranges: Sequence) -> list[float]:
    """Between ranges that follow each other: the geometric mean of their ends."""
    return [
        sqrt(before[1] * after[0]) if isfinite(before[1]) and after[0] > 0 else 0.0
        for before, after in pairwise(ranges)
    ]
