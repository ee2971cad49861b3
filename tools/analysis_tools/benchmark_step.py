"""Measure one training step: seconds, images/s and peak memory, as JSON.

A step is what training does for a batch: forward passes of both networks,
backward pass, LARS and the update of the target network. ResNet-50-FPN at
224/224/112 with K = 4 unless the config says otherwise. Each variant runs in a
process of its own, the variants in turn, so that the ratios between them hold
on a noisy machine. On a CPU own_memory_mib, of which memory_to_first is the
ratio, leaves out what interpreter and libraries hold before a model is built.
"""

import argparse
import json
import multiprocessing
import platform
import resource
import statistics
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
VARIANTS = ('float32', 'channels_last', 'bfloat16', 'float16', 'frozen_backbone')


def make_batch(cfg, batch_size: int, device):
    """Random normalised views, and boxes as the config's views and filter give them.

    The objects of the first view are .3 to .8 of it, as those of the paper's
    filter. In a crop they are larger, and may be cut off; one that is not there
    is replaced by the whole view. One of the batch is always nearly cut off, as
    it is in most batches of real images.
    """
    import torch

    generator = torch.Generator().manual_seed(0)

    def uniform(*shape, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(*shape, generator=generator)

    construct, select = cfg.train_dataloader.dataset.pipeline[1:3]
    shape = (batch_size, select.num_proposals, 2)
    wh = 0.3 + 0.5 * uniform(*shape).square()  # most are small
    xy = (1 - wh) * uniform(*shape)
    whole = torch.cat([xy, xy + wh], -1)
    views, boxes, valid = [], [], []
    for view in construct.views:
        size, source = view.size, view.get('source')
        views.append(torch.randn(batch_size, 3, size, size, generator=generator))
        box = whole if source is None else boxes[source] / construct.views[source].size
        if crop := view.get('crop_scale'):
            side = uniform(batch_size, 1, 1, low=crop[0], high=crop[1]).sqrt()
            start = (1 - side) * uniform(batch_size, 1, 2)
            box = ((box - start.repeat(1, 1, 2)) / side).clamp(0, 1)
            box[0, 0, 2:] = box[0, 0, :2] + 0.1
        gone = (box[..., 2:] - box[..., :2]).amin(-1, keepdim=True) * size < 1
        box = torch.where(gone, torch.tensor([0.0, 0.0, 1.0, 1.0]), box)
        boxes.append(box * size)
        valid.append(torch.ones(shape[:2], dtype=torch.bool))
    return [[x.to(device) for x in group] for group in (views, boxes, valid)]


def measure(
    config: str, variant: str, batch_size: int, steps: int, use_torchvision: bool, queue
) -> None:
    """Time ``steps`` steps after two warm-up steps; put the figures."""
    import torch
    from mmengine.config import Config
    from mmengine.logging import MMLogger
    from mmengine.model import revert_sync_batchnorm

    from soco_mm.registry import MODELS, OPTIMIZERS

    # The initialisation reports every parameter.
    MMLogger.get_instance('mmengine', log_level='ERROR')
    cfg = Config.fromfile(config)
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    libraries = 0 if device == 'cuda' else resident_peak()
    if use_torchvision:
        cfg.model.roi_head.bbox_roi_extractor.use_torchvision = True
    if variant == 'frozen_backbone':
        cfg.model.frozen_parts = ('backbone',)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).to(device).train()
    model.init_weights()
    views, boxes, valid = make_batch(cfg, batch_size, device)
    memory_format = (
        torch.contiguous_format if variant == 'float32' else torch.channels_last
    )
    model.to(memory_format=memory_format)
    views = [view.to(memory_format=memory_format) for view in views]
    dtype = dict(bfloat16=torch.bfloat16, float16=torch.float16).get(variant)
    scaler = torch.amp.GradScaler(device, enabled=dtype == torch.float16)
    optimizer = OPTIMIZERS.build(
        dict(cfg.optim_wrapper.optimizer, params=model.parameters())
    )

    def step(index: int) -> None:
        with torch.autocast(device, dtype, enabled=dtype is not None):
            loss = model.loss(views, boxes, valid)['loss']
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        model.update_target(index, 1000)

    def synchronize() -> float:
        if device == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter()

    for index in range(2):
        step(index + 1)
    if device == 'cuda':
        torch.cuda.reset_peak_memory_stats()
    seconds, cpu = [], time.process_time()
    for index in range(steps):
        started = synchronize()
        step(index + 3)
        seconds.append(synchronize() - started)
    cpu = time.process_time() - cpu
    median = statistics.median(seconds)
    memory = torch.cuda.max_memory_allocated() if device == 'cuda' else resident_peak()
    queue.put(
        dict(
            variant=variant,
            device=torch.cuda.get_device_name()
            if device == 'cuda'
            else platform.processor() or 'cpu',
            threads=torch.get_num_threads(),
            seconds_per_step=round(median, 4),
            seconds_min=round(min(seconds), 4),
            seconds_max=round(max(seconds), 4),
            cpu_seconds_per_step=round(cpu / steps, 4),
            images_per_second=round(batch_size / median, 2),
            peak_memory_mib=round(memory / 2**20),
            own_memory_mib=round((memory - libraries) / 2**20),
        )
    )


def resident_peak() -> int:
    """The most memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_apart(*arguments) -> dict:
    """What :func:`measure` puts, from a process of its own."""
    context = multiprocessing.get_context('spawn')
    queue = context.SimpleQueue()
    process = context.Process(target=measure, args=(*arguments, queue))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f'{arguments[0]}, {arguments[1]}: the step failed.')
    return queue.get()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument(
        '--config', default=str(ROOT / 'configs/soco/soco_r50_fpn_100e.py')
    )
    parser.add_argument('--batch-size', type=int, default=8)
    parser.add_argument('--steps', type=int, default=5)
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=VARIANTS,
        default=['float32', 'channels_last', 'bfloat16'],
        help='channels_last is float32 too; all that follow use it; float16 needs '
        'CUDA; frozen_backbone is what --train neck,head does',
    )
    parser.add_argument(
        '--torchvision',
        action='store_true',
        help="use torchvision's RoIAlign instead of MMCV's",
    )
    args = parser.parse_args()
    rows = [
        measure_apart(
            args.config, variant, args.batch_size, args.steps, args.torchvision
        )
        for variant in args.variants
    ]
    for row in rows:
        row['speed_to_first'] = round(
            rows[0]['seconds_per_step'] / row['seconds_per_step'], 2
        )
        row['cpu_speed_to_first'] = round(
            rows[0]['cpu_seconds_per_step'] / row['cpu_seconds_per_step'], 2
        )
        row['memory_to_first'] = round(
            row['own_memory_mib'] / rows[0]['own_memory_mib'], 2
        )
    print(
        json.dumps(
            dict(
                config=Path(args.config).name,
                batch_size=args.batch_size,
                steps=args.steps,
                results=rows,
            ),
            indent=1,
        )
    )


if __name__ == '__main__':
    main()
