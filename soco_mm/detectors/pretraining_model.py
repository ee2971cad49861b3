"""The pretraining model of a detector: its own backbone, neck and head."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from soco_mm.engine.initial_weights import PRETRAINED
from soco_mm.engine.runtime import replace_types
from soco_mm.models.dense_heads.object_dense_head import find_towers
from soco_mm.models.roi_heads.object_conv_fc_head import has_shared_layers
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError, UsageError
from soco_mm.utils.class_names import class_name
from soco_mm.utils.texts import first_line

from .build import build_model
from .levels import level_bounds
from .signatures import nothing_frozen, parameters

SIDE = 384  # of the image on which strides are measured; P7 has 3 of its pixels
ROI_SIZE = 7
# Layers of MMCV that see their weights as NCHW.
NCHW_LAYERS = ('ConvAWS2d', 'ConvWS2d')
INSTEAD = (
    'Pretrain only its backbone: add --backbone-only, and --config with a recipe '
    'of that backbone'
)


class DetectorPretraining(NamedTuple):
    """What is pretrained of a detector.

    Attributes:
        model (dict): The ``model`` of the pretraining's config.
        strides (list[int]): Strides of the levels of objects, in pixels.
        bounds (list[float]): Upper bounds on the size of an object for all
            levels but the last, in pixels of the detector's images.
        notes (list[str]): What is not pretrained, one sentence each.
        net (nn.Module): The detector.
        idle_levels (bool): Whether the neck has weights of levels that only
            the detector's RPN reads, which objects do not train.
    """

    model: dict
    strides: list[int]
    bounds: list[float]
    notes: list[str]
    net: nn.Module
    idle_levels: bool


def pretraining_model(
    theirs: Config, base: Config, name: str = 'the detector'
) -> DetectorPretraining:
    """Build the pretraining model of a detector.

    Backbone and neck are as configured. The head of the pretext task is what
    the detector shares between its predictors: the layers of its box heads,
    res5, or the towers of a one-stage head. All of it is trained from the
    first layer on, whatever the detector freezes for supervised weights, with
    synchronised batch norm where it has batch norm; weights are not loaded.

    Args:
        theirs (Config): The ``model`` of the detector's config.
        base (Config): The ``model`` of a recipe: its projector, its predictor
            and its loss are used.
        name (str): The detector in messages.

    Returns:
        DetectorPretraining: The model, as plain data, and its levels.

    Raises:
        UsageError: If MMDetection cannot build the detector.
        SoCoError: If objects have no features in it that could be pretrained.
    """
    given = clean(ConfigDict(theirs).to_dict())
    net = built_of(given, name)
    maps = feature_maps(net, name)
    strides = level_strides(net, maps, name)
    # The level above those of an FPN is pooled, unless it is told otherwise.
    neck = first_of(getattr(net, 'neck', None))
    idle = len(maps) > len(strides) and bool(getattr(neck, 'add_extra_convs', True))
    maps = maps[: len(strides)]
    notes: list[str] = []
    head = object_head(net, given, maps, notes, name)
    bounds = level_bounds(net, strides)
    extractor = head['roi_head']['bbox_roi_extractor']
    extractor.update(featmap_strides=strides, scale_bounds=[*bounds, 0.0])
    # Heads for boxes are made for the maps of the other model.
    kept = {key: base[key] for key in base if key not in ('rpn_head', 'box_head')}
    model = dict(
        kept,
        backbone=trained(given['backbone'], net.backbone),
        neck=None if given.get('neck') is None else trained(given['neck'], net.neck),
        data_preprocessor=pixels(given.get('data_preprocessor'), net),
        **head,
    )
    width = head_width(model, maps, name)
    model['projector'] = dict(base['projector'], in_channels=width)
    return DetectorPretraining(model, strides, bounds, notes, net, idle)


def built_of(model: dict, name: str) -> nn.Module:
    """Build a detector without its weights, in evaluation mode.

    Args:
        model (dict): The ``model`` of its config.
        name (str): The detector in messages.

    Raises:
        UsageError: If MMDetection cannot build it.
    """
    try:
        built = build_model(Config(clean(ConfigDict(model).to_dict())))
    except Exception as error:  # it is other people's code
        raise UsageError(
            f'MMDetection cannot build the detector of {name}: {first_line(error)}'
        ) from error
    return revert_sync_batchnorm(built).eval()


def clean(value: Any, scope: str = 'mmdet') -> Any:
    """A part of a detector's config, with full names and without weights to load.

    Components of MMDetection get its scope, which is not that of this package;
    what MMEngine and MMCV provide has none.
    """
    if isinstance(value, (list, tuple)):
        return type(value)(clean(each, scope) for each in value)
    if not isinstance(value, dict):
        return value
    scope = value.get('_scope_', scope)
    made = {
        key: clean(each, scope)
        for key, each in value.items()
        if key not in ('_scope_', 'pretrained')
        and not (key == 'init_cfg' and loads_weights(each))
    }
    kind = made.get('type')
    if isinstance(kind, str) and '.' not in kind and scope != 'mmdet':
        made['type'] = f'{scope}.{kind}'
    return made


def loads_weights(init_cfg: Any) -> bool:
    """Whether an ``init_cfg`` reads a checkpoint, or is empty."""
    several = init_cfg if isinstance(init_cfg, (list, tuple)) else [init_cfg]
    return any(each is None or class_name(each) in PRETRAINED for each in several)


def feature_maps(net: nn.Module, name: str) -> list[Tensor]:
    """What backbone and neck make of an image of 384 pixels.

    Raises:
        SoCoError: If they cannot run, or there is no neck and no R-CNN head.
    """
    if getattr(net, 'neck', None) is None and getattr(net, 'roi_head', None) is None:
        raise SoCoError(
            f'The {type(net).__name__} of {name} has neither a neck nor an R-CNN '
            'head, so there are no maps that features of objects could be taken '
            f'from. {INSTEAD}.'
        )
    try:
        with torch.no_grad():
            maps = net.backbone(torch.zeros(1, 3, SIDE, SIDE))
            if getattr(net, 'neck', None) is not None:
                maps = net.neck(maps)
        maps = list(maps)
        _ = [each.shape[-1] for each in maps]
    except Exception as error:  # it is other people's code
        raise SoCoError(
            f'Backbone and neck of {name} do not turn an image into maps '
            f'({first_line(error)}), so objects have no features that could be '
            f'pretrained. {INSTEAD}.'
        ) from error
    return maps


def runs_on(net: nn.Module, size: int) -> bool:
    """Whether backbone and neck can run on images of a size.

    Necks that pool finer maps onto coarser ones (HRFPN, NAS-FPN) cannot where
    the coarsest map would have less than a pixel, or another size than half.
    """
    try:
        with torch.no_grad():
            maps = net.backbone(torch.zeros(1, 3, size, size))
            if getattr(net, 'neck', None) is not None:
                net.neck(maps)
    except RuntimeError:
        return False
    return True


def level_strides(net: nn.Module, maps: Sequence[Tensor], name: str) -> list[int]:
    """Strides of the maps that objects are taken from.

    Raises:
        SoCoError: If these maps have different widths, or they are not those
            that the R-CNN head expects.
    """
    strides = [round(SIDE / each.shape[-1]) for each in maps]
    roi_head = first_of(getattr(net, 'roi_head', None))
    if roi_head is not None:
        declared = list(first_of(roi_head.bbox_roi_extractor).featmap_strides)
        strides = strides[: len(declared)]
        if declared != strides:
            raise SoCoError(
                f'The R-CNN head of {name} takes maps of the strides {declared}, but '
                f'backbone and neck make {strides}. {INSTEAD}.'
            )
    widths = list(dict.fromkeys(each.shape[1] for each in maps[: len(strides)]))
    if len(widths) > 1 or strides != sorted(set(strides)):
        what = (
            f'{", ".join(map(str, widths))} channels'
            if len(widths) > 1
            else f'the strides {", ".join(map(str, strides))}'
        )
        raise SoCoError(
            f'The {type(net).__name__} of {name} has no feature pyramid of one width '
            f'(its maps have {what}), but an object needs features of one size on '
            f'whatever level it is. {INSTEAD}.'
        )
    return strides


def object_head(
    net: nn.Module, given: dict, maps: Sequence[Tensor], notes: list[str], name: str
) -> dict:
    """``roi_head`` and ``bbox_head`` of the pretraining model.

    Raises:
        SoCoError: If there is one coarse map and no head.
    """
    roi_head: dict[str, Any] = dict(
        type='ObjectRoIHead',
        bbox_roi_extractor=dict(type='ScaleAwareRoIExtractor', output_size=ROI_SIZE),
    )
    theirs = given.get('roi_head')
    if theirs is not None:
        size = first_of(net.roi_head.bbox_roi_extractor).roi_layers[0].output_size
        roi_head['bbox_roi_extractor']['output_size'] = int(size[0])
        if (shared := theirs.get('shared_head')) is not None:
            roi_head['shared_head'] = trained(shared, net.roi_head.shared_head)
        heads, config = getattr(net.roi_head, 'bbox_head', None), theirs['bbox_head']
        several = isinstance(heads, nn.ModuleList)
        built = list(heads) if several else [heads]
        if all(map(has_shared_layers, built)):
            configs = config if isinstance(config, (list, tuple)) else [config]
            if len(configs) < len(built):  # the same for all stages
                configs = [copy.deepcopy(configs[0]) for _ in built]
            own = [dict(type='ObjectConvFCHead', head=synced(each)) for each in configs]
            roi_head['bbox_head'] = own if several else own[0]
            return dict(roi_head=roi_head)
        if shared is not None:  # res5 is the head
            return dict(roi_head=roi_head)
        notes.append(
            f'The {type(built[0]).__name__} of {name} has no layers that its '
            'predictors share: backbone and neck are pretrained, its head is new'
        )
        return dict(roi_head=roi_head)
    head = getattr(net, 'bbox_head', None)
    if head is not None and find_towers(head):
        own_head = dict(type='ObjectDenseHead', head=synced(given['bbox_head']))
        return dict(roi_head=roi_head, bbox_head=own_head)
    if len(maps) == 1:
        raise SoCoError(
            f'The {type(net).__name__} of {name} has no feature pyramid (its neck '
            f'makes one map of the stride {round(SIDE / maps[0].shape[-1])}) and no '
            f'head that could run on an object. {INSTEAD}.'
        )
    what = type(head).__name__ if head is not None else type(net).__name__
    notes.append(
        f'The {what} of {name} has no towers that could run on an object: backbone '
        'and neck are pretrained, its head is new'
    )
    return dict(roi_head=roi_head)


def trained(part: Any, net: nn.Module) -> Any:
    """A part as it is pretrained: with its scope, nothing fixed, norms in sync."""
    if isinstance(part, (list, tuple)):
        return [trained(each, built) for each, built in zip(part, net)]
    part = synced(part)
    kind = str(part['type'])
    if '.' not in kind:
        part['type'] = f'mmdet.{kind}'
    settings = parameters(type(net))
    if 'frozen_stages' in settings:
        part['frozen_stages'] = nothing_frozen(type(net))
    if 'norm_eval' in settings:
        part['norm_eval'] = False
    usual = getattr(settings.get('norm_cfg'), 'default', None)
    if 'norm_cfg' not in part and isinstance(usual, dict):
        part['norm_cfg'] = dict(usual)
        replace_types(part, {'BN': 'SyncBN'})
    if isinstance(norm := part.get('norm_cfg'), dict):
        norm['requires_grad'] = True
    if 'drop_path_rate' in part:  # the target network should be exact
        part['drop_path_rate'] = 0.0
    return part


def synced(part: dict) -> dict:
    """A copy of a part, with synchronised batch norm."""
    part = copy.deepcopy(part)
    replace_types(part, {'BN': 'SyncBN', 'MMSyncBN': 'SyncBN'})
    return part


def pixels(preprocessor: dict | None, net: nn.Module) -> dict:
    """The data preprocessor that normalises views as the detector does images."""
    made: dict[str, Any] = dict(type='ViewDataPreprocessor')
    if any(
        each.__name__ in NCHW_LAYERS or 'DeformConv' in each.__name__
        for module in net.modules()
        for each in type(module).__mro__
    ):
        made['channels_last'] = False
    if preprocessor is None:
        return made
    if preprocessor.get('mean') is None:
        made.update(mean=[0.0] * 3, std=[1.0] * 3)
    else:
        made.update({key: list(preprocessor[key]) for key in ('mean', 'std')})
    if not preprocessor.get('bgr_to_rgb', False):
        made['rgb_to_bgr'] = True
    return made


def head_width(model: dict, maps: Sequence[Tensor], name: str) -> int:
    """Number of features of an object.

    Raises:
        SoCoError: If the head cannot run on the features of an object.
    """
    extractor = model['roi_head']['bbox_roi_extractor']
    x = torch.zeros(2, maps[0].shape[1], *[extractor['output_size']] * 2)
    try:
        roi_head = revert_sync_batchnorm(MODELS.build(model['roi_head'])).eval()
        head = model.get('bbox_head')
        with torch.no_grad():
            if head is not None:
                built = revert_sync_batchnorm(MODELS.build(head)).eval()
                return built(x, torch.zeros(2, dtype=torch.long)).shape[1]
            return roi_head.encode(x).shape[1]
    except Exception as error:  # it is other people's code
        raise SoCoError(
            f'The head of {name} cannot run on the features of an object '
            f'({first_line(error)}). {INSTEAD}.'
        ) from error


def first_of(part: Any) -> Any:
    """The first of several parts, as in a cascade, or the part itself."""
    return part[0] if isinstance(part, (nn.ModuleList, nn.Sequential)) else part
