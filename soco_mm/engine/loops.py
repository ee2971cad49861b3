"""The length of a training in steps."""

from math import ceil

from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from soco_mm.registry import LOOPS


@LOOPS.register_module()
class StepTrainLoop(EpochBasedTrainLoop):
    """Epochs, as many as a number of steps takes, rounded up.

    A short recipe trains for a number of steps of the optimiser, however many
    images there are, and its schedule counts them too; checkpoints, hooks and
    resuming count in epochs as in any other training.

    Args:
        runner (Runner): The runner.
        dataloader (DataLoader | dict): The data loader, or its config.
        max_steps (int): The least number of steps.
        **kwargs: Other arguments of :class:`mmengine.runner.EpochBasedTrainLoop`
            except ``max_epochs``.
    """

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict, max_steps: int, **kwargs
    ) -> None:
        if isinstance(dataloader, dict):
            dataloader = runner.build_dataloader(
                dataloader,
                seed=runner.seed,
                diff_rank_seed=runner._randomness_cfg.get('diff_rank_seed', False),
            )
        iterations = max_steps * accumulation_of(runner.optim_wrapper)
        super().__init__(
            runner, dataloader, epochs_of(iterations, len(dataloader)), **kwargs
        )


def accumulation_of(wrapper: OptimWrapper | OptimWrapperDict | dict) -> int:
    """Iterations of a step of the optimiser.

    Args:
        wrapper (OptimWrapper | dict): The optimiser, or its config.
    """
    if isinstance(wrapper, dict):
        return wrapper.get('accumulative_counts', 1)
    return getattr(wrapper, '_accumulative_counts', 1)


def epochs_of(steps: int, per_epoch: int) -> int:
    """Epochs that take at least so many steps.

    Example:
        >>> from soco_mm.engine.loops import epochs_of
        >>> epochs_of(200, 6)
        34
    """
    return ceil(steps / max(1, per_epoch))
