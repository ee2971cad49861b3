"""A recipe with another batch than its own: learning rate and target momentum.

The batch B is that of a step of the optimiser: images per process, times
processes, times accumulated iterations. With kappa = B / ``base_batch_size`` of
``auto_scale_lr``, the batch that the recipe's numbers are for:

- SGD and LARS scale the learning rate linearly, by kappa (Goyal et al. 2017).
- Adam and its kin divide gradients by their size, of which noise is the larger
  part; they scale it by the square root of kappa (Malladi et al. 2022,
  https://arxiv.org/abs/2205.10287). Their betas stay.
- With ``auto_scale_lr.momentum`` the momentum of the target network is raised to
  the power of kappa at every step (Busbridge et al. 2023,
  https://arxiv.org/abs/2307.13813).
"""

import inspect
import math

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.runner import Runner

from soco_mm.registry import MODELS
from soco_mm.utils import UsageError

from .loops import accumulation_of
from .quiet_log import tell

ADAPTIVE = ('adam', 'rmsprop', 'lamb')


def set_batch(cfg: Config, auto_scale: bool | None, accumulate: int | None) -> None:
    """Set how a recipe is adapted to the batch; in place.

    Args:
        cfg (Config): The config of a training.
        auto_scale (bool, optional): Scale learning rate and target momentum.
            None leaves both as the config says.
        accumulate (int, optional): Iterations of a step of the optimiser. None
            leaves it as the config says.

    Raises:
        UsageError: If the config does not say which batch it is for, or its
            model has no momentum to scale.
    """
    if accumulate is not None:
        cfg.optim_wrapper.accumulative_counts = accumulate
    if not auto_scale:
        return
    if not (cfg.get('auto_scale_lr') or {}).get('base_batch_size'):
        raise UsageError(
            f'--auto-scale: {cfg.filename} does not say which batch its learning rate '
            'is for. Set auto_scale_lr = dict(base_batch_size=...) in it.'
        )
    model = MODELS.get(cfg.model.type)
    if model is None or 'momentum_exponent' not in inspect.signature(model).parameters:
        raise UsageError(
            f'--auto-scale: {cfg.model.type} has no momentum of a target network that '
            'can be scaled. For the learning rate alone set auto_scale_lr.enable=True.'
        )
    cfg.auto_scale_lr.update(enable=True, momentum=True)


def batch_of_step(cfg: Config, processes: int = 1) -> int:
    """Images of a step of the optimiser.

    Example:
        >>> from soco_mm.engine.batch_scaling import batch_of_step
        >>> from soco_mm.engine.config import load_config
        >>> batch_of_step(load_config('soco_r50_fpn_100e'), processes=16)
        2048
    """
    accumulated = accumulation_of(cfg.optim_wrapper)
    return cfg.train_dataloader.batch_size * processes * accumulated


def rate_factor(optimizer: str, kappa: float) -> float:
    """What the learning rate of an optimiser is multiplied by.

    Args:
        optimizer (str): Its type.
        kappa (float): The batch over the one that the rate is for.

    Example:
        >>> from soco_mm.engine.batch_scaling import rate_factor
        >>> rate_factor('LARS', 1 / 16), rate_factor('AdamW', 1 / 16)
        (0.0625, 0.25)
    """
    adaptive = any(name in optimizer.lower() for name in ADAPTIVE)
    return math.sqrt(kappa) if adaptive else kappa


def scale_momentum(cfg: Config) -> None:
    """Scale the momentum of the target network to the batch, if the config says so.

    Called once the processes are connected and before the model is built.

    Args:
        cfg (Config): The config; ``model.momentum_exponent`` is set.
    """
    scaling = cfg.get('auto_scale_lr') or {}
    if not scaling.get('momentum'):
        return
    batch = batch_of_step(cfg, get_world_size())
    cfg.model.momentum_exponent = batch / scaling['base_batch_size']


def scale_learning_rate(runner: Runner, cfg: Config) -> None:
    """Let MMEngine scale the learning rate by the rule of the optimiser.

    MMEngine scales linearly and does not count gradient accumulation.

    Args:
        runner (Runner): The runner before its training; changed in place.
        cfg (Config): Its config.
    """
    scaling = runner.auto_scale_lr
    if not (scaling and scaling.get('enable')):
        return
    batch, base = batch_of_step(cfg, runner.world_size), scaling['base_batch_size']
    factor = rate_factor(cfg.optim_wrapper.optimizer.type, batch / base)
    iteration = cfg.train_dataloader.batch_size * runner.world_size
    runner.auto_scale_lr = dict(enable=True, base_batch_size=iteration / factor)
    if scaling.get('momentum'):
        tau = cfg.model.get('base_momentum', 0.99)
        tell(
            f'A step has {batch} images, the recipe is for {base}: learning rate x '
            f'{factor:.4g}, momentum of the target {tau} ^ {batch / base:.4g} = '
            f'{tau ** (batch / base):.6g} at the start.'
        )
