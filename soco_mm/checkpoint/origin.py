"""What the model of some weights was: its normalisation of images, its strides."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from soco_mm.utils.class_names import class_name

from .config_text import config_text, read_assignment
from .libraries.architecture import MEAN, RESNET, STD, pixel_statistics, same
from .model_config import read_model
from .weights_file import WeightsFile

LIKE_TORCHVISION = dict(type='ResNet', style='pytorch')
LIKE_CAFFE = dict(type='ResNet', style='caffe')
SILENT = "ImageNet's, since the file says nothing"
ZOO = 'the defaults of detectron2'
CAFFE_STD = (1.0, 1.0, 1.0)  # that of detectron2's model zoo
# Names in detectron2's models, and those of backbones in OpenMMLab's.
DETECTRON2 = re.compile(r'(backbone\.(bottom_up\.)?)?(stem\.conv1\.|res[2-4]\.0\.)')
OPENMMLAB = re.compile(r'backbone\.(?!body\.)')
# The first 3x3 convolution of a bottleneck there, grouped in a ResNeXt.
GROUPED = re.compile(r'(backbone\.(bottom_up\.)?)?res2\.0\.conv2\.weight')
# Authors of pickles whose images are normalised as in torchvision.
RGB_AUTHORS = ('torchvision', 'soco_mm')
# What normalises the images of a detector; without a mean it leaves them as they are.
PLAIN = 'DetDataPreprocessor'
NO_CHANGE = dict(mean=(0.0,) * 3, std=(1.0,) * 3)
# Settings of a ResNet that do not show in the shapes of its weights.
UNSEEN = (
    *('style', 'strides', 'dilations', 'avg_down', 'dcn', 'stage_with_dcn'),
    'plugins',
)


@dataclass(frozen=True)
class Origin:
    """What a file says, or its library implies, about the model of its weights.

    Attributes:
        mean (tuple): Mean of each channel, 0 to 255, red first. Defaults to
            ImageNet's.
        std (tuple): Standard deviation of each channel, red first. Defaults
            to ImageNet's.
        bgr (bool): The first convolution takes blue first. Defaults to False.
        reason (str): How this is known.
        backbone (dict, optional): Config of the backbone; None if it is not
            known.
    """

    mean: tuple = MEAN
    std: tuple = STD
    bgr: bool = False
    reason: str = SILENT
    backbone: Mapping | None = None

    def to_dict(self) -> dict:
        """The normalisation as plain data."""
        return dict(
            mean=list(self.mean),
            std=list(self.std),
            channels='BGR' if self.bgr else 'RGB',
            known_by=self.reason,
        )

    @classmethod
    def of(cls, file: WeightsFile) -> 'Origin':
        """Find out what the model of some weights was.

        Args:
            file (WeightsFile): The weights.

        Returns:
            Origin: What is known. Where a file says nothing it is ImageNet's
            normalisation, which the ResNets, Swins, ConvNeXts and MobileNets
            of torchvision, timm and MMPretrain have.
        """
        if any(map(DETECTRON2.match, file.weights)):
            return cls.of_detectron2(file)
        model = read_model(file.content) or {}
        backbone = model.get('backbone')
        if file.is_released or not any(map(OPENMMLAB.match, file.weights)):
            backbone = LIKE_TORCHVISION
        given = pixels_in(file.content, model)
        if given is None:
            return cls(backbone=backbone)
        if class_name(given).endswith('ViewDataPreprocessor'):  # this plugin's
            rgb = not given.get('rgb_to_bgr', False)
        else:
            rgb = given.get('bgr_to_rgb', given.get('to_rgb', False))
        return cls.in_order(given, not rgb, 'by the config in the file', backbone)

    @classmethod
    def of_model(cls, model: Mapping) -> 'Origin':
        """Of weights that were trained as a model is.

        Args:
            model (Mapping): The ``model`` of the pretraining's config.
        """
        pixels = pixel_statistics(model)
        reason = 'as the model, since the file says nothing'
        return cls.in_order(pixels, not pixels['bgr_to_rgb'], reason, model['backbone'])

    @classmethod
    def of_detectron2(cls, file: WeightsFile) -> 'Origin':
        """By the settings beside a file, else by its author.

        The exports of this plugin have settings beside them, and a training of
        detectron2 a ``config.yaml``; what was converted from torchvision says so;
        anything else is taken for weights of detectron2's model zoo, which has
        blue first, and no deviation but for ResNeXts.
        """
        path = Path(file.path)
        author = str(file.content.get('__author__', ''))
        settings = read_settings(path.with_suffix('.yaml'))
        if settings is None and author not in RGB_AUTHORS:
            settings = read_settings(path.with_name('config.yaml'))
        if settings is not None:
            model = settings['MODEL']
            pixels = dict(mean=model['PIXEL_MEAN'], std=model['PIXEL_STD'])
            bgr = settings.get('INPUT', {}).get('FORMAT', 'BGR') == 'BGR'
            caffe = model.get('RESNETS', {}).get('STRIDE_IN_1X1', True)
            backbone = LIKE_CAFFE if caffe else LIKE_TORCHVISION
            return cls.in_order(
                pixels, bgr, 'by the settings beside the file', backbone
            )
        if author in RGB_AUTHORS:
            return cls(
                reason=f'by the author in the file, {author}', backbone=LIKE_TORCHVISION
            )
        for name, value in file.weights.items():
            if GROUPED.fullmatch(name) and value.shape[1] < value.shape[0]:
                reason = "the ResNeXts of detectron2's model zoo"
                return cls(MEAN, STD, True, reason, LIKE_TORCHVISION)
        return cls(MEAN, CAFFE_STD, True, ZOO, LIKE_CAFFE)

    @classmethod
    def in_order(cls, pixels: Mapping, bgr: bool, reason: str, backbone) -> 'Origin':
        """With a mean and a deviation that are in the order of the channels."""
        mean, std = (tuple(map(float, pixels[key])) for key in ('mean', 'std'))
        if bgr:
            mean, std = mean[::-1], std[::-1]
        return cls(mean, std, bgr, reason, backbone)

    def explain_difference(self, backbone: Mapping) -> str | None:
        """Say which setting makes a backbone compute something else.

        Args:
            backbone (Mapping): Config of the backbone that is filled.

        Returns:
            str, optional: The reason, and what to change; None if no such
            setting is known.
        """
        ours, theirs = backbone, self.backbone
        if not isinstance(theirs, Mapping) or 'type' not in theirs:
            return None
        if {class_name(ours), class_name(theirs)} != {'ResNet'}:
            return None
        for key in UNSEEN:
            if key == 'style' and ours.get('depth', 50) < 50:
                continue  # basic blocks have only one place for their stride
            here, there = (each.get(key, RESNET[key]) for each in (ours, theirs))
            if isinstance(here, (list, tuple)) and isinstance(there, (list, tuple)):
                # A C4 model has the last stage in its head.
                number = min(len(here), len(there))
                here, there = here[:number], there[:number]
            if not same(here, there):
                guessed = (
                    "if it is of detectron2's model zoo, as is supposed; else put the "
                    'config.yaml of its training beside it'
                )
                return (
                    f'its backbone has {key}={there!r}, but model.backbone has '
                    f'{here!r}, so the same weights would compute something else. '
                    f'Set model.backbone.{key} to {there!r}'
                    + f' {guessed}'
                    * (self.reason == ZOO)
                )
        return None


def pixels_in(content: dict, model: Mapping) -> Mapping | None:
    """Mean and deviation in the config of a checkpoint of OpenMMLab, if any."""
    text = config_text(content)
    older = read_assignment(text, 'img_norm_cfg')  # of MMDetection 2
    if isinstance(older, Mapping):
        older = dict(dict(to_rgb=True), **older)
        if older.get('mean') and max(older.get('std') or [1]) < 1:
            # Of MMSelfSup 0, where values are from 0 to 1.
            for key in ('mean', 'std'):
                older[key] = [255 * each for each in older[key]]
    places: tuple[Any, ...] = (
        model.get('data_preprocessor'),
        read_assignment(text, 'data_preprocessor'),
        older,
    )
    for place in places:
        if isinstance(place, Mapping) and place.get('mean') and place.get('std'):
            return place
    own = model.get('data_preprocessor')
    plain = isinstance(own, Mapping) and class_name(own) == PLAIN
    meta = content.get('meta')
    if isinstance(meta, Mapping) and 'cfg' not in meta:
        # MMDetection 2 normalises in the pipeline.
        plain |= bool(model) and 'pipeline' in text and "'Normalize'" not in text
    if plain:  # as of YOLOX
        return dict(own or dict(type=PLAIN), **NO_CHANGE)
    return None


def read_settings(path: Path) -> dict | None:
    """Settings of detectron2 beside a file of weights, None without usable ones."""
    try:
        settings = yaml.safe_load(path.read_text(encoding='utf-8'))
        if settings['MODEL']['PIXEL_MEAN'] and settings['MODEL']['PIXEL_STD']:
            return settings
    except (OSError, UnicodeError, yaml.YAMLError, KeyError, TypeError):
        pass
    return None
