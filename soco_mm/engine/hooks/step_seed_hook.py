import random

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import DistSamplerSeedHook

from soco_mm.registry import HOOKS


@HOOKS.register_module()
class StepSeedHook(DistSamplerSeedHook):
    """Seed the model's random numbers in each iteration.

    Data have random numbers of their own, which follow from the epoch and the
    image. Those of the model, such as drop path, the sampler of an RPN and
    displaced boxes, are those of PyTorch, NumPy or Python: seeded by the run's
    seed, the iteration and the process, they are the same in a training that was
    resumed. It also does what MMEngine's hook of the sampler does.
    """

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed the iteration."""
        entropy = [runner.seed or 0, runner.iter, get_rank()]
        seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
