"""Measure what watching the health of a training costs, as JSON.

A step of the config's model is made as training makes it, and watched as
``TrainingHealthHook`` does. Both are measured in one run, in CPU seconds, which
other programs on the machine hardly change; ratio is health to step over an
interval, with one row of figures in it.
"""

import argparse
import json
import time
from pathlib import Path

from benchmark_step import add_step_arguments, make_batch


def measure(config: str, batch_size: int, steps: int, interval: int) -> dict:
    """Seconds of a step, of its boxes, and of a row of figures."""
    import torch
    from mmengine.config import Config
    from mmengine.logging import MMLogger
    from mmengine.model import revert_sync_batchnorm

    from soco_mm.models.utils.health_figures import (
        BoxCount,
        FeatureWatch,
        movement,
        weight_samples,
    )
    from soco_mm.registry import MODELS, OPTIMIZERS

    MMLogger.get_instance('mmengine', log_level='ERROR')
    cfg = Config.fromfile(config)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    batch = make_batch(cfg, batch_size, 'cpu')
    optimizer = OPTIMIZERS.build(
        dict(cfg.optim_wrapper.optimizer, params=model.parameters())
    )
    start, boxes = weight_samples(model), BoxCount(model.roi_head.bbox_roi_extractor)
    seconds: dict[str, list[float]] = dict(step=[], boxes=[], row=[])
    for index in range(steps):
        watch = FeatureWatch(model)
        at = time.process_time()
        model.loss(*batch)['loss'].backward()
        optimizer.step()
        optimizer.zero_grad()
        model.update_target(index + 1, 1000)
        seconds['step'].append(time.process_time() - at)
        watch.close()
        at = time.process_time()
        boxes.add(*batch[1:])
        seconds['boxes'].append(time.process_time() - at)
        at = time.process_time()
        watch.measure(batch[2])
        movement(model, start)
        boxes.pop()
        seconds['row'].append(time.process_time() - at)
    # The first time of anything takes longer: the best of each counts.
    step, each, row = (min(seconds[name]) for name in ('step', 'boxes', 'row'))
    return dict(
        config=Path(config).name,
        batch_size=batch_size,
        threads=torch.get_num_threads(),
        interval=interval,
        step_seconds=round(step, 4),
        boxes_seconds=round(each, 6),
        row_seconds=round(row, 4),
        start_mib=round(start.numel() * start.element_size() / 2**20, 2),
        ratio=round((each + row / interval) / step, 5),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_step_arguments(parser, steps=3)
    parser.add_argument(
        '--interval',
        type=int,
        default=50,
        help='iterations between two rows (default: 50)',
    )
    args = parser.parse_args()
    found = measure(args.config, args.batch_size, args.steps, args.interval)
    print(json.dumps(found, indent=1))


if __name__ == '__main__':
    main()
