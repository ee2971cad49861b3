"""The Runner's choices that depend on the machine, in one place."""

import itertools
import os

import torch
from mmengine.config import Config
from mmengine.device import is_cuda_available
from mmengine.dist import init_dist, is_distributed
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.model.utils import _BatchNormXd
from mmengine.registry import MODELS
from mmengine.runner import Runner
from torch import distributed, nn

from soco_mm.utils import UsageError

from .quiet_log import QuietRunner, quieten, tell

# For inputs of any number of dimensions, like SyncBN. In the root registry,
# where builders of all scopes find it.
BATCH_NORM = 'SoCoBatchNormXd'
SYNC_NORMS = ('SyncBN', 'MMSyncBN')  # PyTorch's and MMCV's
MODELS.register_module(BATCH_NORM, module=_BatchNormXd)

_run_numbers = itertools.count()


def unwrap_model(model: nn.Module) -> nn.Module:
    """The model itself, whether it is wrapped for several processes or not."""
    return model.module if is_model_wrapper(model) else model


def build_runner(cfg: Config, quiet: bool = False) -> Runner:
    """Build the Runner of a config, whatever this process has run before.

    MMEngine names a run by the second in which it starts, and gives another
    run with that name the logger, the message hub and the visualizer of the
    first: it would write its scalars into the other's folder. So each run of
    a process gets a number.

    Args:
        cfg (Config): The config, with ``work_dir``; changed in place, see
            :func:`adapt_to_device`.
        quiet (bool): Write MMEngine's log only to its file, see
            :mod:`soco_mm.engine.quiet_log`. Defaults to False.

    Returns:
        Runner: The runner.
    """
    if quiet:  # the log of what came before, to which notes of the device go
        quieten(MMLogger.get_current_instance())
    adapt_to_device(cfg)
    cfg.setdefault('experiment_name', f'run_{next(_run_numbers)}')
    return (QuietRunner if quiet else Runner).from_cfg(cfg)


def adapt_to_device(cfg: Config) -> None:
    """Change a config so that it runs where there is no GPU.

    Three things work only on a GPU: synchronised batch norm, MMEngine's
    mixed precision and its set-up of distributed training. On a GPU none of
    them is changed.

    Args:
        cfg (Config): The config of a training; changed in place.
    """
    alone = cfg.get('launcher', 'none') == 'none'
    if alone:
        use_plain_sync_norm(cfg.model)
    if is_cuda_available():
        return
    wrapper = cfg.optim_wrapper
    if wrapper.get('type') == 'AmpOptimWrapper':
        wrapper.pop('loss_scale', None)
        wrapper.pop('dtype', None)
        native = getattr(torch.cpu, '_is_avx512_bf16_supported', bool)()
        wrapper.type = 'CPUAmpOptimWrapper' if native else 'OptimWrapper'
        tell(
            'There is no GPU: mixed precision is '
            f'{"bfloat16" if native else "off"} on this CPU.'
        )
    if not alone:
        replace_types(cfg.model, dict.fromkeys(SYNC_NORMS, BATCH_NORM))
        tell('There is no GPU: batch norm is not synchronised between processes.')
        # Without device_ids, which are for GPUs.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )
        start_processes(cfg)
    cfg.train_dataloader.pin_memory = False


def start_processes(cfg: Config) -> None:
    """Connect the processes of a training, if there are several.

    Args:
        cfg (Config): The config, with ``launcher``.

    Raises:
        UsageError: If they were not started as required.
    """
    launcher = cfg.get('launcher', 'none')
    if launcher == 'none' or is_distributed():
        return
    if is_cuda_available():
        init_dist(launcher, **cfg.get('env_cfg', {}).get('dist_cfg', {}))
        return
    if 'RANK' not in os.environ:
        raise UsageError(
            'On a CPU several processes must be started by '
            'tools/dist_train.sh, or by torchrun.'
        )
    # MMEngine would select a GPU.
    distributed.init_process_group(
        'gloo', rank=int(os.environ['RANK']), world_size=int(os.environ['WORLD_SIZE'])
    )


def use_plain_sync_norm(model: Config) -> None:
    """Replace MMCV's synchronised batch norm in a model's config, in place.

    MMEngine makes SyncBN plain batch norm where there is one process, but
    MMCV's asks for several as soon as it is built. PyTorch's has the same
    tensors.
    """
    replace_types(model, {'MMSyncBN': 'SyncBN'})


def replace_types(node, names: dict[str, str]) -> None:
    """Replace components by others everywhere in a config.

    Args:
        node: A config or a part of one; changed in place.
        names (dict[str, str]): The new ``type`` by the old one.
    """
    if isinstance(node, dict):
        if isinstance(type_ := node.get('type'), str):
            node['type'] = names.get(type_, type_)
        for value in node.values():
            replace_types(value, names)
    elif isinstance(node, (list, tuple)):
        for value in node:
            replace_types(value, names)
