"""Print what is planned for a step, and what this process holds at the most.

Of a step alone, without what a training holds between steps as well.
Arguments: a config, the images of a batch, and the side of its first view.
"""

import gc
import sys

import torch
from torch import nn

from soco_mm.engine.config import load_config
from soco_mm.planning.step import build_model, count_step, make_batch


def resident(key: str) -> int:
    """``VmRSS`` or ``VmHWM`` of this process in bytes."""
    with open('/proc/self/status') as status:
        line = next(each for each in status if each.startswith(key))
    return int(line.split()[1]) * 1024


def step(cfg, model: nn.Module, batch_size: int) -> None:
    """Forward and backward pass of random images."""
    batch = make_batch(cfg, batch_size)
    for view, boxes, valid in zip(*batch.values()):
        view.random_(0, 255)
        boxes.copy_(torch.tensor([0.1, 0.1, 0.6, 0.7]) * view.shape[1])
        # One on the finest map, which then is computed as on a GPU.
        boxes[:, 0] = torch.tensor([0.1, 0.1, 0.2, 0.2]) * view.shape[1]
        valid.fill_(True)
    loss, _ = model.parse_losses(model(**model.data_preprocessor(batch), mode='loss'))
    loss.backward()
    for weight in model.parameters():
        weight.grad = None


def main() -> None:
    config, batch_size, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    cfg = load_config(config, {'optim_wrapper.type': 'OptimWrapper'})
    for view in cfg.train_dataloader.dataset.pipeline[1].views:
        view.size = view.size * side // 224
    model = build_model(cfg)
    planned = count_step(cfg, model, batch_size).peak
    step(cfg, model, 2)  # what libraries set up once
    gc.collect()
    with open('/proc/self/clear_refs', 'w') as peak:
        peak.write('5')
    before = resident('VmRSS')
    step(cfg, model, batch_size)
    print(planned, resident('VmHWM') - before)


if __name__ == '__main__':
    main()
