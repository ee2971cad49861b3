"""Trainings that stop and go on at any step."""

from math import ceil

from mmengine.config import Config
from mmengine.hooks import LoggerHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from soco_mm.datasets.batches import Batches
from soco_mm.datasets.sampler import EpochSampler, has_parts
from soco_mm.registry import LOOPS
from soco_mm.utils import UsageError
from soco_mm.utils.class_names import class_name


@LOOPS.register_module()
class EpochTrainLoop(EpochBasedTrainLoop):
    """MMEngine's loop of epochs, which can be resumed within an epoch.

    Batches that were done are skipped without loading them. With
    :class:`EpochSampler` an epoch has whole optimiser steps: what does not fill
    one is left out, other images in each epoch.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): The data loader, or its config.
        max_epochs (int): Number of epochs.
        **kwargs: Other arguments of :class:`mmengine.runner.EpochBasedTrainLoop`.

    Attributes:
        per_epoch (int): Iterations of an epoch.
        accumulated (int): Iterations of an optimiser step.
    """

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict, max_epochs: int, **kwargs
    ) -> None:
        self.accumulated = accumulation_of(runner.optim_wrapper)
        dataloader = build_loader(runner, dataloader)
        if isinstance(dataloader.sampler, EpochSampler) and dataloader.drop_last:
            dataloader.sampler.keep_whole_steps(
                dataloader.batch_size * self.accumulated
            )
        super().__init__(runner, dataloader, max_epochs, **kwargs)
        self.per_epoch = len(self.dataloader)
        self.batches = Batches(self.dataloader)

    @property
    def resumable(self) -> bool:
        """Whether a training can be resumed within an epoch."""
        return has_parts(self.dataloader)

    def run(self):
        """Train until the last iteration."""
        if self._iter >= self._max_iters:  # which may lie within an epoch
            self._epoch = self._max_epochs
        return super().run()

    def run_epoch(self) -> None:
        """Run what is left of an epoch."""
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        start = self._epoch * self.per_epoch
        done = self._iter - start
        last = min(self.per_epoch, self._max_iters - start)
        for idx, data_batch in enumerate(self.batches.of_epoch(done, last), done):
            self.run_iter(idx, data_batch)
        self.runner.call_hook('after_train_epoch')
        self._epoch += 1


@LOOPS.register_module()
class StepTrainLoop(EpochTrainLoop):
    """A training of a number of optimiser steps, however many images there are.

    It stops after exactly so many, also within an epoch, and its schedule counts
    them too.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): The data loader, or its config.
        max_steps (int): Number of optimiser steps.
        **kwargs: Other arguments of :class:`EpochTrainLoop` except
            ``max_epochs``.
    """

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict, max_steps: int, **kwargs
    ) -> None:
        # Its length is known when it is built.
        super().__init__(runner, dataloader, max_epochs=0, **kwargs)
        self.max_steps = max_steps
        self._max_iters = max_steps * self.accumulated
        self._max_epochs = epochs_of(self._max_iters, self.per_epoch)


def build_loader(runner: Runner, dataloader: DataLoader | dict) -> DataLoader:
    """Build a data loader as MMEngine's loops do, unless it is one."""
    if isinstance(dataloader, DataLoader):
        return dataloader
    return runner.build_dataloader(
        dataloader,
        seed=runner.seed,
        diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False),
    )


def accumulation_of(wrapper: OptimWrapper | OptimWrapperDict | dict) -> int:
    """Iterations of a step of the optimiser.

    Args:
        wrapper (OptimWrapper | dict): The optimiser, or its config.
    """
    if isinstance(wrapper, dict):
        return wrapper.get('accumulative_counts', 1)
    return getattr(wrapper, '_accumulative_counts', 1)


def iterations_of(runner: Runner) -> int:
    """Iterations of an epoch, also in one that ends early."""
    loop = runner.train_loop
    return getattr(loop, 'per_epoch', None) or len(runner.train_dataloader)


def log_interval(runner: Runner) -> int:
    """Iterations between two lines of MMEngine's log."""
    intervals = (each.interval for each in runner.hooks if isinstance(each, LoggerHook))
    return min(intervals, default=1)


def check_length(cfg: Config) -> None:
    """Refuse a config without a length that is known here.

    Raises:
        UsageError: If it counts neither epochs nor steps of :class:`StepTrainLoop`.
    """
    if not (cfg.train_cfg.get('max_epochs') or cfg.train_cfg.get('max_steps')):
        raise UsageError(
            f'The config {cfg.filename} sets neither train_cfg.max_epochs nor '
            'train_cfg.max_steps.'
        )


def use_own_loop(cfg: Config) -> None:
    """Replace MMEngine's loop of epochs by the one that resumes within them.

    Args:
        cfg (Config): The config of a training; changed in place.
    """
    train = cfg.train_cfg
    by_epoch = train.get('type') is None and train.get('by_epoch')
    if by_epoch or class_name(train) == 'EpochBasedTrainLoop':
        train.pop('by_epoch', None)
        train.type = 'soco_mm.EpochTrainLoop'


def epochs_of(steps: int, per_epoch: int) -> int:
    """Epochs that take at least so many steps.

    Example:
        >>> from soco_mm.engine.loops import epochs_of
        >>> epochs_of(200, 6)
        34
    """
    return ceil(steps / max(1, per_epoch))
