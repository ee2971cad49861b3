"""The length of a schedule."""

import math

from mmengine.config import Config

from soco_mm.utils import UsageError


def set_epochs(cfg: Config, epochs: int, iterations: int) -> None:
    """Set the length of a training with a warm-up and a cosine.

    The warm-up shrinks with it, to a tenth of the epochs but no fewer than
    two iterations, below which MMEngine's never ends.

    Args:
        cfg (Config): The config; changed in place.
        epochs (int): Number of epochs.
        iterations (int): Iterations of an epoch.

    Raises:
        UsageError: If the config has another schedule.
    """
    schedule = [each.type for each in cfg.param_scheduler]
    if schedule != ['LinearLR', 'CosineAnnealingLR']:
        raise UsageError(
            'The number of epochs can be set for a LinearLR followed by a '
            f'CosineAnnealingLR, but the config has {schedule}. Set the '
            'schedule in the config.'
        )
    warm_up, cosine = cfg.param_scheduler
    end = min(warm_up.end, math.ceil(epochs / 10))
    end = max(end, math.ceil(2 / iterations))
    cfg.train_cfg.max_epochs = epochs
    if end >= epochs:
        end = 0
        cfg.param_scheduler = [cosine]
    warm_up.end = end
    cosine.update(begin=end, end=epochs, T_max=epochs - end)
