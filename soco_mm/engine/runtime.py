"""The Runner's choices that depend on the machine, in one place."""

import itertools
import os

import torch
from mmengine.config import Config
from mmengine.device import is_cuda_available
from mmengine.dist import init_dist, is_distributed
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing
from torch import distributed, nn

from soco_mm.models.layers import ViewSyncBatchNorm
from soco_mm.models.utils.idle_layers import has_idle_layers
from soco_mm.openmmlab import parts_of
from soco_mm.utils import UsageError

from .disk import keep_logging
from .precision import adapt_precision
from .quiet_log import QuietRunner, tell
from .recomputation import not_reentrant
from .schedules import count_optimizer_steps

_run_numbers = itertools.count()


class TrainingRunner(Runner):
    """A Runner of which several processes share the statistics of SyncBN.

    They do so by :class:`ViewSyncBatchNorm`. Where there is one process,
    MMEngine makes SyncBN plain batch norm.
    """

    def wrap_model(self, model_wrapper_cfg: dict | None, model: nn.Module) -> nn.Module:
        """Wrap a model for several processes; see MMEngine's Runner."""
        if self.distributed:
            model = ViewSyncBatchNorm.convert(model)
            if self.cfg.get('find_unused_parameters') or has_idle_layers(model):
                wrapper = model_wrapper_cfg or dict(broadcast_buffers=False)
                model_wrapper_cfg = dict(wrapper, find_unused_parameters=True)
        return super().wrap_model(model_wrapper_cfg, model)

    def train(self) -> nn.Module:
        """Train, see MMEngine's Runner; a backbone may have ``with_cp=True``."""
        with not_reentrant():
            return super().train()


class QuietTrainingRunner(QuietRunner, TrainingRunner):
    """The same, whose log goes to its file."""


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
    note = adapt_to_device(cfg)
    cfg.setdefault('experiment_name', f'run_{next(_run_numbers)}')
    if cfg.get('compile'):
        # Else a compiled model ignores hooks that are registered later, such as those
        # that watch its features now and then.
        torch._dynamo.config.skip_nnmodule_hook_guards = False
    runner = (QuietTrainingRunner if quiet else TrainingRunner).from_cfg(cfg)
    count_optimizer_steps(runner)
    keep_logging(runner.logger)
    if note:  # before, it would be in the log of another run
        tell(note)
    return runner


def adapt_to_device(cfg: Config) -> str:
    """Change a config so that it runs on this machine, also without a GPU.

    MMEngine's mixed precision and its set-up of distributed training work only on
    a GPU.

    Args:
        cfg (Config): The config of a training; changed in place.

    Returns:
        str: What to say of its precision; may be empty.
    """
    use_torch_sync_norm(cfg.model)
    note = adapt_precision(cfg)
    if is_cuda_available():
        return note
    if cfg.get('launcher', 'none') != 'none':
        # Without device_ids, which are for GPUs.
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=False
        )
        start_processes(cfg)
    cfg.train_dataloader.pin_memory = False
    return note


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
    if launcher == 'mpi' and 'OMPI_COMM_WORLD_LOCAL_RANK' in os.environ:
        # The Runner reads the one, Open MPI says the other.
        local_rank = os.environ['OMPI_COMM_WORLD_LOCAL_RANK']
        os.environ.setdefault('LOCAL_RANK', local_rank)
    if is_cuda_available():
        env_cfg = cfg.get('env_cfg', {})
        # First: what MMEngine would choose here, its Runner warns of later.
        set_multi_processing(**env_cfg.get('mp_cfg', {}), distributed=True)
        init_dist(launcher, **env_cfg.get('dist_cfg', {}))
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


def use_torch_sync_norm(model: Config) -> None:
    """Replace MMCV's synchronised batch norm in a model's config, in place.

    MMCV's reads its input as NCHW, whatever the memory format: in
    ``channels_last`` it would mix the channels. It also asks for several
    processes as soon as it is built. PyTorch's has the same tensors.
    """
    for part in parts_of(model):
        if part.get('type') == 'MMSyncBN':
            part['type'] = 'SyncBN'
            part.pop('stats_mode', None)  # PyTorch's always counts the values


def replace_types(node, names: dict[str, str]) -> None:
    """Replace components by others everywhere in a config.

    Args:
        node: A config or a part of one; changed in place.
        names (dict[str, str]): The new ``type`` by the old one.
    """
    for part in parts_of(node):
        if isinstance(type_ := part.get('type'), str):
            part['type'] = names.get(type_, type_)
