"""The pyramid levels of objects: in the pretraining and in the detector."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt

import torch
from mmengine.config import Config
from torch import Tensor

from soco_mm.datasets import ObjectViewDataset
from soco_mm.engine.config import building
from soco_mm.engine.preview import build_dataset
from soco_mm.log import logger
from soco_mm.registry import MODELS
from soco_mm.utils import ImageError
from soco_mm.utils.levels import level_name
from soco_mm.utils.texts import printable

KEY = 'detector_levels'  # of the config of a pretraining
COUNTED = 200  # images


@dataclass(frozen=True)
class DetectorLevels:
    """To which pyramid level a detector assigns an object.

    A config of a pretraining holds it as plain data under ``detector_levels``.

    Attributes:
        detector (str): The detector's config.
        scale (Sequence[int]): Longest and shortest side of the images that it
            is trained with, in pixels.
        strides (Sequence[int]): Strides of its levels in pixels.
        bounds (Sequence[float]): Upper bounds on sqrt(area) of an object for
            all levels but the last, in pixels of these images.
        keep_ratio (bool): Whether these images keep their aspect. Defaults to
            True.

    Example:
        >>> from soco_mm.engine.levels import DetectorLevels
        >>> levels = DetectorLevels('mine.py', (1333, 800), (4, 8, 16), (112, 224))
        >>> [round(each, 1) for each in levels.bounds_in_view(224)]
        [31.4, 62.7]
    """

    detector: str
    scale: Sequence[int]
    strides: Sequence[int]
    bounds: Sequence[float]
    keep_ratio: bool = True

    def bounds_in_view(self, size: int) -> list[float]:
        """The bounds in pixels of a view that shows the whole image.

        Args:
            size (int): Side of the view; it stands for the shortest side of
                the detector's images.
        """
        return [bound * size / min(self.scale) for bound in self.bounds]

    def enlarged(self, width: int, height: int) -> float:
        """By how much an image of this size is enlarged, as sqrt of the area's."""
        long, short = max(self.scale), min(self.scale)
        if self.keep_ratio:
            return min(long / max(width, height), short / min(width, height))
        return sqrt(long / width * short / height)

    def assign(self, shares: Tensor, width: int, height: int) -> list[int]:
        """Strides of the levels of objects.

        Args:
            shares (Tensor): Their areas as shares of the image's, (K,).
            width (int): Width of the image.
            height (int): Height of the image.

        Returns:
            list[int]: One stride per object.
        """
        scales = (shares * (width * height)).sqrt() * self.enlarged(width, height)
        found = torch.bucketize(scales, torch.tensor(self.bounds, dtype=scales.dtype))
        return [self.strides[level] for level in found.tolist()]

    def to_dict(self) -> dict:
        """As plain data."""
        return asdict(self)


def detector_levels(cfg: Config) -> DetectorLevels | None:
    """The levels of the detector that a pretraining is made for, if it says."""
    given = cfg.get(KEY)
    return None if given is None else DetectorLevels(**given)


class BoxLevels:
    """Names the levels of the boxes of a sample, view by view.

    With :class:`DetectorLevels` in the config each name is a pair such as
    ``P3/P4``: the level of the pretraining, and the one to which the detector
    assigns the whole object in the image as it is trained with.

    Args:
        cfg (Config): The config of the training.

    Raises:
        SoCoError: If the config has no RoI extractor, or one with wrong
            parameters.
    """

    def __init__(self, cfg: Config) -> None:
        with building('levels of boxes (model.roi_head.bbox_roi_extractor)'):
            self.extractor = MODELS.build(cfg.model.roi_head.bbox_roi_extractor)
        self.strides = self.extractor.strides
        self.detector = detector_levels(cfg)

    def own(self, boxes: Tensor) -> list[int]:
        """Strides of the levels of boxes of a view, (K, 4), in the pretraining."""
        return [self.strides[each] for each in self.extractor.assign_levels(boxes)]

    def detectors(self, sample: dict, size: Sequence[int]) -> list[int]:
        """Strides of the levels of a sample's objects in the detector.

        Args:
            sample (dict): A sample of the data set. Its first view shows the
                whole image.
            size (Sequence[int]): Width and height of the image.

        Returns:
            list[int]: One per object; empty if the config names no detector.
        """
        if self.detector is None:
            return []
        view, boxes = sample['views'][0], sample['boxes'][0]
        sides = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0)
        return self.detector.assign(
            sides.prod(1) / (view.shape[0] * view.shape[1]), *size
        )

    def names(self, sample: dict, size: Sequence[int]) -> list[list[str]]:
        """What is written at each box of each view; nothing with one level."""
        if len(self.strides) == 1:
            return [[] for _ in sample['boxes']]
        theirs = self.detectors(sample, size)
        named = []
        for boxes in sample['boxes']:
            ours = [level_name(each) for each in self.own(boxes)]
            if theirs:
                ours = [f'{a}/{level_name(b)}' for a, b in zip(ours, theirs)]
            named.append(ours)
        return named

    def text(self) -> str:
        """What the second name of a pair means, empty without one."""
        if self.detector is None:
            return ''
        long, short = max(self.detector.scale), min(self.detector.scale)
        return (
            f'; after the slash the level to which {self.detector.detector} assigns '
            f'the object, in images of up to {long} x {short} pixels'
        )


@dataclass
class LevelAgreement:
    """How many objects are on the same level as in the detector.

    Attributes:
        detector (str): The detector's config.
        objects (list[int]): Number of objects that count, by view.
        agreeing (list[int]): Those on the detector's level.
        levels (dict[int, int]): Objects of all views by stride of their level.
    """

    detector: str
    objects: list[int]
    agreeing: list[int]
    levels: dict[int, int] = field(default_factory=dict)

    def describe(self) -> str:
        """As a sentence to print."""
        shares = ', '.join(
            f'{agreeing} of {objects} in V{view}'
            for view, (agreeing, objects) in enumerate(
                zip(self.agreeing, self.objects), 1
            )
        )
        total = max(1, sum(self.levels.values()))
        levels = ', '.join(
            f'{level_name(stride)} {number / total:.0%}'
            for stride, number in self.levels.items()
        )
        return (
            f'Objects on the level to which {self.detector} assigns them: {shares}. '
            f'All views: {levels}'
        )


def say_levels(cfg: Config) -> None:
    """Print how many objects of a training are on the detector's level.

    Args:
        cfg (Config): The config of the training; nothing is printed if it
            names no detector.
    """
    if detector_levels(cfg) is not None:
        found = compare_levels(cfg, build_dataset(cfg))
        if found is not None:
            logger.info(printable(found.describe()))


def compare_levels(cfg: Config, dataset: ObjectViewDataset) -> LevelAgreement | None:
    """Count the objects whose level is the detector's.

    Args:
        cfg (Config): The config of the training.
        dataset (ObjectViewDataset): Its data.

    Returns:
        LevelAgreement, optional: None if the config names no detector, or
        there is one level.
    """
    levels = BoxLevels(cfg)
    if levels.detector is None or len(levels.strides) == 1:
        return None
    found = LevelAgreement(
        levels.detector.detector, [], [], dict.fromkeys(levels.strides, 0)
    )
    step = -(-len(dataset) // COUNTED)
    for index in range(0, len(dataset), step):
        try:
            size = dataset.load_image(index)['image'].shape[1::-1]
        except ImageError:
            continue
        sample = dataset[index]
        theirs = levels.detectors(sample, size)
        number = len(sample['views'])
        found.objects = found.objects or [0] * number
        found.agreeing = found.agreeing or [0] * number
        for view, (boxes, valid) in enumerate(zip(sample['boxes'], sample['valid'])):
            for a, b, counts in zip(levels.own(boxes), theirs, valid.tolist()):
                if counts:
                    found.objects[view] += 1
                    found.agreeing[view] += a == b
                    found.levels[a] += 1
    return found
