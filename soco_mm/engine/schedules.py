"""The length of a schedule."""

import math

from mmengine.config import Config

from soco_mm.utils import UsageError


def set_epochs(cfg: Config, epochs: int, iterations: int) -> None:
    """Set the length of a training with a warm-up and a cosine.

    The warm-up shrinks with it, to a tenth of the epochs but no fewer than
    two iterations, below which MMEngine's never ends. A training that counts
    in steps then counts in epochs.

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
    length, least = epochs, math.ceil(2 / iterations)
    if not warm_up.by_epoch:
        length, least = epochs * iterations, 2
    end = max(min(warm_up.end, math.ceil(length / 10)), least)
    if cfg.train_cfg.pop('max_steps', None) is not None:
        cfg.train_cfg.type = 'EpochBasedTrainLoop'
    cfg.train_cfg.max_epochs = epochs
    if end >= length:
        end = 0
        cfg.param_scheduler = [cosine]
    warm_up.end = end
    cosine.update(begin=end, end=length, T_max=length - end)
