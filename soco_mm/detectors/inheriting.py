"""Configs of other people's detectors that start from pretrained weights."""

import os
import pprint
from collections.abc import Collection, Sequence
from importlib.metadata import PackageNotFoundError
from pathlib import Path

from mmengine.config import Config
from mmengine.hub import get_config
from mmengine.utils import get_installed_path

from soco_mm.checkpoint.config_text import plain_data
from soco_mm.checkpoint.handed_over import PARTS_BY_NAME
from soco_mm.checkpoint.libraries import pixel_statistics
from soco_mm.utils import UsageError, did_you_mean
from soco_mm.utils.class_names import class_name
from soco_mm.utils.texts import first_line

from .build import backbone_class
from .mask_rcnn import beside
from .pipelines import pipeline_pixels
from .signatures import nothing_frozen

INHERITING = """\
# The detector of the config below, which starts from SoCo's weights.
_base_ = {base!r}

model = {model}

load_from = {load_from}
"""
NORM_KEYS = ('norm_cfg', 'norm_eval', 'style')


def inheriting_config(
    detector: str | Path,
    model: Config,
    weights: str,
    adapt: bool,
    parts: Sequence[str] | None = None,
) -> tuple:
    """Name and text of a config of any detector that loads weights.

    Args:
        detector (str | Path): The MMDetection config, a path or
            ``mmdet::...``.
        model (Config): The ``model`` of the pretraining's config.
        weights (str): Name of the file of weights beside it.
        adapt (bool): Give the detector the norm layers and the normalisation
            of images that the pretrained model has.
        parts (Sequence[str], optional): The parts that are filled. Without the
            backbone, it and the images stay as they are. Defaults to None, all.

    Returns:
        tuple: Name and text of the config.

    Raises:
        UsageError: If the detector's config cannot be read or inherited from,
            or is not of a detector with a backbone.
    """
    base = detector_base(detector)
    cfg = read_base_config(base, detector)
    filled = PARTS_BY_NAME if parts is None else parts
    changes = adaptation(cfg, model, filled) if adapt else {}
    if 'backbone' in filled:
        # Without downloading other weights.
        none: dict[str, bool | None] = dict(init_cfg=None)
        if pretrained := cfg.model.backbone.get('pretrained'):
            none['pretrained'] = False if pretrained is True else None  # timm's
        changes['backbone'] = dict(changes.get('backbone', {}), **none)
    text = INHERITING.format(
        base=base,
        model=pprint.pformat(changes, sort_dicts=False),
        load_from=beside(weights),
    )
    return Path(base.rpartition('::')[2]).stem + '.py', text


def detector_base(detector: str | Path) -> str:
    """A detector's config as ``_base_`` names it."""
    base = str(detector)
    return base if '::' in base else os.path.abspath(base)


def meant_config(name: str) -> str:
    """``Did you mean ...?`` for a config that no library ships.

    Args:
        name (str): Its name, as ``mmdet::FOLDER/CONFIG.py``.
    """
    library, _, path = name.rpartition('::')
    try:
        folder = Path(get_installed_path(library), '.mim', 'configs')
    except PackageNotFoundError:
        return ''
    shipped = {
        each.stem: f'{library}::{each.relative_to(folder)}'
        for each in sorted(folder.glob('*/*.py'))
    }
    return did_you_mean(Path(path).stem, shipped, shipped)


def read_base_config(base: str, detector: str | Path) -> Config:
    """A detector's config, with its ``model``.

    Raises:
        UsageError: See :func:`inheriting_config`.
    """
    shipped = '::' in base  # with a library
    if not shipped and os.path.isdir(base):
        there = sorted(Path(base).glob('*.py'))
        such = f', such as {there[0]}' if there else ''
        raise UsageError(f'{detector} is a folder. Give the config in it{such}.')
    try:
        cfg = get_config(base) if shipped else Config.fromfile(base)
        lazy = not shipped and base.endswith('.py') and Config._is_lazy_import(base)
    except Exception as error:  # a config is a program: anything can happen
        if shipped or os.path.exists(base):
            meant = meant_config(base) if isinstance(error, FileNotFoundError) else ''
            reason = first_line(error)
        else:
            meant = meant_config(f'mmdet::{detector}')
            reason = 'there is no such file'
        raise UsageError(
            f'The config {detector} of the detector cannot be read: {reason}.{meant}'
        ) from None
    if lazy:
        raise UsageError(
            f'The config {detector} uses read_base(); a config with _base_ '
            'cannot inherit from it. Convert it first, with '
            'Config.fromfile(...).dump(...) of MMEngine.'
        )
    model = cfg.get('model')
    if not isinstance(model, dict) or 'type' not in model:
        raise UsageError(
            f'The config {detector} has no model. Give the config of a detector.'
        )
    if not isinstance(model.get('backbone'), dict):
        raise UsageError(
            f'The {model["type"]} of {detector} has no backbone of its own. Give '
            'the config of the detector itself, not of a model that wraps it.'
        )
    if any(key.startswith('teacher') for key in model):
        raise UsageError(
            f'The detector of {detector} is trained with a '
            'teacher. Give the config of the detector itself.'
        )
    return cfg


def adaptation(cfg: Config, ours: Config, parts: Collection[str]) -> dict:
    """What to change so that a detector computes what was pretrained.

    Args:
        cfg (Config): The detector's config.
        ours (Config): The ``model`` of the pretraining's.
        parts (Collection[str]): The parts that are filled. Without the backbone,
            it and the images stay what its own weights are for.

    Returns:
        dict: Changes of its ``model``.
    """
    changes, theirs = {}, cfg.model
    if 'backbone' in parts:
        if not pipeline_pixels(cfg):
            pixels = pixel_statistics(ours)
            if not theirs.get('data_preprocessor'):
                pixels.update(type='DetDataPreprocessor', pad_size_divisor=32)
            changes['data_preprocessor'] = pixels
        changes['backbone'] = changed_norms(theirs.backbone, ours.backbone)
        if 'frozen_stages' in theirs.backbone:
            kind = backbone_class(theirs.backbone)
            changes['backbone']['frozen_stages'] = nothing_frozen(kind)
    if isinstance(theirs.get('neck'), dict) and ours.get('neck'):
        changes['neck'] = changed_norms(theirs.neck, ours.neck)
    shared = (theirs.get('roi_head') or {}).get('shared_head')
    if shared and ('backbone' in parts or 'head' in parts):
        # res5, which may be the backbone's in the pretraining.
        head = ours.roi_head.get('shared_head') or ours.backbone
        changes['roi_head'] = dict(
            shared_head=dict(changed_norms(shared, head), init_cfg=None)
        )
    return changes


def changed_norms(theirs: Config, ours: Config) -> dict:
    """Norm layers of a part, and the position of its strides.

    A class that has no such setting is left as it is.
    """
    same = class_name(theirs) == class_name(ours)
    changes = {
        key: plain_data(ours[key])
        for key in NORM_KEYS
        if key in ours and (same or key in theirs)
    }
    if isinstance(changes.get('norm_cfg'), dict) and 'norm_cfg' in theirs:
        changes['norm_cfg']['_delete_'] = True  # GN has other arguments
    return changes
