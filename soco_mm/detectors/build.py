"""MMDetection models, built from their configs."""

import copy
from pathlib import Path

from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DefaultScope
from torch import nn

from soco_mm.engine.runtime import use_torch_sync_norm
from soco_mm.utils import UsageError
from soco_mm.utils.texts import first_line


def build_detector(config: str | Path, name: str | Path | None = None) -> nn.Module:
    """Build the detector of an MMDetection config, in evaluation mode.

    Args:
        config (str | Path): The config.
        name (str | Path, optional): Its name in messages. Defaults to
            None, its path.

    Returns:
        nn.Module: The detector, with random weights.

    Raises:
        UsageError: If it cannot be built.
    """
    try:
        built = build_model(Config.fromfile(config).model)
    except Exception as error:  # it is other people's code
        raise UsageError(
            f'MMDetection cannot build the detector of {name or config}: '
            f'{first_line(error)}'
        ) from error
    return revert_sync_batchnorm(built).eval()


def build_model(model: Config) -> nn.Module:
    """Build a model of MMDetection in this process, from its config.

    Args:
        model (Config): The config, which stays as it is; detectors change the
            one that they are built from.

    Returns:
        nn.Module: The model.
    """
    from mmdet.registry import MODELS as MMDET_MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    model = copy.deepcopy(model)
    use_torch_sync_norm(model)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MMDET_MODELS.build(model)


def class_of(net: nn.Module, path: str) -> str:
    """Name of the class of a part, empty if there is none."""
    for name in path.split('.'):
        net = getattr(net, name, None)
    return '' if net is None else type(net).__name__


def backbone_class(backbone: Config) -> type:
    """The class of a backbone, from its config.

    Raises:
        UsageError: If MMDetection has no such class.
    """
    from mmdet.registry import MODELS as MMDET_MODELS
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    kind = backbone.type
    if isinstance(kind, type):
        return kind
    if (found := MMDET_MODELS.get(kind)) is None:
        raise UsageError(f'MMDetection has no backbone {kind}.')
    return found
