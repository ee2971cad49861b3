"""A recipe around the pretraining model of a detector."""

import copy
import re
from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config
from mmengine.runner.checkpoint import get_external_models
from torch import nn

from soco_mm.checkpoint.pretrained import HANDED_OVER
from soco_mm.datasets.transforms import ConstructViews
from soco_mm.datasets.transforms.finding import find_transform
from soco_mm.engine.config import CONFIG_ROOT, READ, load_config
from soco_mm.engine.levels import KEY, DetectorLevels
from soco_mm.engine.pretraining import PretrainArguments, PretrainPlan, detectors_own
from soco_mm.log import logger
from soco_mm.models.dense_heads.object_dense_head import find_towers, has_own_levels
from soco_mm.utils import SoCoError, UsageError

from .inheriting import detector_base, read_base_config
from .levels import level_bounds, training_scale
from .mask_rcnn import is_resnet
from .pipelines import pipeline_pixels
from .pretraining_model import (
    built_of,
    feature_maps,
    level_strides,
    pretraining_model,
    runs_on,
)

ADAMW = CONFIG_ROOT / '_base_/schedules/adamw_100e.py'
# Of the other recipe; its variables are not read any more.
KEPT = {*READ, HANDED_OVER}
LEAST_SIDE = 64  # of the first view
STEP = 32  # of which the side is a multiple


def detector_recipe(
    detector: str | Path, base: str | Path, options: dict | None = None
) -> Config:
    """The recipe that pretrains a detector's own backbone, neck and head.

    Data, schedule and loss are those of another recipe; LARS is replaced by
    AdamW for backbones other than ResNets. Views are no larger than the images
    that the detector is trained with, and objects go to the level to which the
    detector assigns them.

    Args:
        detector (str | Path): The MMDetection config of the detector, a path
            or ``mmdet::...``.
        base (str | Path): The other recipe.
        options (dict, optional): Values that will be set in the config, by
            dotted key, of which the bounds of the levels depend on the size of
            the views. Defaults to None.

    Returns:
        Config: The recipe, before ``options`` are set in it.

    Raises:
        UsageError: If the detector's config cannot be read or built.
        SoCoError: If the detector cannot be pretrained.
    """
    theirs = read_base_config(detector_base(detector), detector)
    cfg = load_config(base)
    if normalized := pipeline_pixels(theirs):
        preprocessor = theirs.model.get('data_preprocessor') or dict(
            type='DetDataPreprocessor'
        )
        theirs.model.data_preprocessor = dict(preprocessor, **normalized)
    made = pretraining_model(theirs.model, cfg.model, str(detector))
    levels = made_levels(theirs, detector, made.strides, made.bounds)
    kept = {key: value for key, value in cfg.to_dict().items() if key in KEPT}
    kept['model'] = made.model
    if made.model.get('neck') is None:
        kept.pop(HANDED_OVER, None)  # of a recipe with a neck; here res5 is trained
    kept[KEY] = levels.to_dict()
    if theirs.get('custom_imports'):
        kept['custom_imports'] = theirs.to_dict()['custom_imports']
    if kept['optim_wrapper']['optimizer']['type'] == 'LARS' and not is_resnet(
        made.model
    ):
        wrapper = Config.fromfile(ADAMW).to_dict()['optim_wrapper']
        kept['optim_wrapper'] = dict(wrapper, type=kept['optim_wrapper']['type'])
    head = made.net.bbox_head if made.model.get('bbox_head') else None
    if head is not None and has_own_levels(getattr(head, find_towers(head)[0])):
        # cuDNN would look for the best algorithms for each number of objects on a
        # level, which hardly comes again.
        kept['env_cfg'] = dict(kept.get('env_cfg') or {}, cudnn_benchmark=False)
    if made.idle_levels:
        kept['find_unused_parameters'] = True
    limit_views(kept, min(levels.scale))
    enlarge_views(kept, made.net)
    recipe = Config(
        kept, cfg_text=f'# The recipe of {detector}.\n', filename=recipe_name(detector)
    )
    size, *others = view_sizes(recipe, options or {})
    for each in dict.fromkeys([size, *others]):
        if not runs_on(made.net, each):
            raise SoCoError(
                f'Backbone and neck of {detector} cannot run on views of {each} '
                'pixels. Leave their size to the recipe, or choose a multiple of 128.'
            )
    recipe.model.roi_head.bbox_roi_extractor.scale_bounds = [
        *(round(each, 2) for each in levels.bounds_in_view(size)),
        size,
    ]
    for note in made.notes:
        logger.info(f'note: {note}.')
    return recipe


def plan_pretraining(
    arguments: PretrainArguments, out: Path, overwrite: bool = False
) -> PretrainPlan:
    """Plan a pretraining, with the detector's own model unless a config is given.

    Args:
        arguments (PretrainArguments): Its arguments, completed.
        out (Path): The folder of the run.
        overwrite (bool): What is in it will be deleted. Defaults to False.

    Returns:
        PretrainPlan: The plan; its config names the levels of the detector.

    Raises:
        UsageError: If an argument, the config or the detector is wrong.
        SoCoError: If the detector cannot be pretrained.
    """
    detector, recipe = arguments.detector, None
    if detector is not None and detectors_own(vars(arguments)):

        def recipe(base: str | Path) -> Config:
            return detector_recipe(detector, base, arguments.options)

    plan = PretrainPlan.make(arguments, out, recipe, overwrite)
    if recipe is None and detector is not None and not arguments.backbone_only:
        plan.cfg[KEY] = levels_of(detector).to_dict()
    if recipe is not None and arguments.init is not None:
        backbone = read_base_config(detector_base(detector), detector).model.backbone
        plan.init_as_model = names_weights(backbone, arguments.init)
    return plan


def names_weights(backbone: Mapping, path: str | Path) -> bool:
    """Whether the config of a backbone starts from a file of this name.

    Args:
        backbone (Mapping): The config.
        path (str | Path): The file.

    Example:
        >>> from soco_mm.detectors.pretraining_recipe import names_weights
        >>> init = dict(checkpoint='open-mmlab://detectron2/resnet50_caffe')
        >>> names_weights(dict(init_cfg=init), 'weights/resnet50_msra-5891d200.pth')
        True
    """
    init = backbone.get('init_cfg')
    named = init.get('checkpoint') if isinstance(init, Mapping) else None
    if not isinstance(named, str):
        return False
    alias = re.match('open-?mmlab://(.*)', named)
    url = get_external_models().get(alias[1], '') if alias else named
    return Path(url).name == Path(path).name


def levels_of(detector: str | Path) -> DetectorLevels:
    """The levels to which a detector assigns objects.

    Raises:
        UsageError: If the detector's config cannot be read or built.
        SoCoError: If the detector has no levels.
    """
    theirs = read_base_config(detector_base(detector), detector)
    net = built_of(theirs.model, str(detector))
    strides = level_strides(net, feature_maps(net, str(detector)), str(detector))
    return made_levels(theirs, detector, strides, level_bounds(net, strides))


def made_levels(
    theirs: Config, detector: str | Path, strides: list, bounds: list
) -> DetectorLevels:
    """The levels of a detector, with the size of its images."""
    scale, keep_ratio = training_scale(theirs)
    return DetectorLevels(str(detector), scale, strides, bounds, keep_ratio)


def recipe_name(detector: str | Path) -> str:
    """Name of the file of a detector's recipe, as it is saved with a run."""
    return f'soco_{Path(str(detector).rpartition("::")[2]).stem}.py'


def limit_views(cfg: dict, shortest: int) -> None:
    """Make views no larger than the images of a detector; in place.

    Args:
        cfg (dict): The config.
        shortest (int): Shortest side of these images, in pixels.
    """
    views = construct_views(cfg)['views']
    side = views[0]['size']
    limit = max(LEAST_SIDE, shortest // STEP * STEP)
    if limit >= side:
        return
    for view in views:
        view['size'] = max(STEP, round(view['size'] * limit / side / STEP) * STEP)


def construct_views(cfg: dict) -> dict:
    """The transform that makes the views, in the config of a pretraining."""
    pipeline = cfg['train_dataloader']['dataset']['pipeline']
    return find_transform(pipeline, ConstructViews)


def enlarge_views(cfg: dict, net: nn.Module) -> None:
    """Make views as large as a detector needs them at the least; in place.

    Args:
        cfg (dict): The config.
        net (nn.Module): The detector.
    """
    for view in construct_views(cfg)['views']:
        size = view['size']
        tried = [size, *range(size // STEP * STEP + STEP, 2 * size + STEP, STEP)]
        view['size'] = next((each for each in tried if runs_on(net, each)), size)


def view_sizes(cfg: Config, options: dict) -> list[int]:
    """Sides of the views once options are set.

    Raises:
        UsageError: If they are no numbers.
    """
    trial = copy.deepcopy(cfg)
    prefix = 'train_dataloader.dataset.pipeline'
    try:
        trial.merge_from_dict(
            {key: each for key, each in options.items() if key.startswith(prefix)}
        )
        return [int(view['size']) for view in construct_views(trial)['views']]
    except (KeyError, IndexError, TypeError, ValueError):
        if not options:
            raise UsageError(
                'The recipe has no ConstructViews, which a detector needs.'
            ) from None
        # What is wrong with them is said where they are set.
        return view_sizes(cfg, {})
