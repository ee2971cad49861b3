from mmengine.registry import DefaultScope
from torch import nn


def build_detector_part(cfg: dict) -> nn.Module:
    """Build a part of a detector as MMDetection does, with random weights.

    Args:
        cfg (dict): Its config in the detector's, whose components need not
            carry MMDetection's scope. It stays as it is.

    Returns:
        nn.Module: The part.

    Example:
        >>> from soco_mm.models.utils import build_detector_part
        >>> build_detector_part(
        ...     dict(type='Shared2FCBBoxHead', num_classes=3)
        ... ).shared_fcs[0].in_features
        12544
    """
    # Here, since MMDetection imports its compiled ops.
    from mmdet.registry import MODELS as MMDET_MODELS

    with DefaultScope.overwrite_default_scope('mmdet'):
        return MMDET_MODELS.build(cfg)


def initialize_like(part: nn.Module, cfg: dict) -> None:
    """Initialise layers that were cut out of a part as the whole part does.

    Its initialisation names layers that are no longer there, the predictors.

    Args:
        part (nn.Module): The layers, under the names they have in the whole.
        cfg (dict): The config of the whole part.
    """
    whole = build_detector_part(cfg)
    # It would write a line for each tensor into the log of the training.
    whole._dump_init_info = lambda: None
    whole.init_weights()
    values = whole.state_dict()
    part.load_state_dict({name: values[name] for name in part.state_dict()})
