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
# What is compared with the first variant, and the name of the ratio.
RATIOS = dict(
    seconds_per_step='speed_to_first',
    cpu_seconds_per_step='cpu_speed_to_first',
    own_memory_mib='memory_to_first',
)
VARIANTS = ('float32', 'channels_last', 'bfloat16', 'float16', 'frozen_backbone')


def make_batch(cfg, batch_size: int, device):
    """Random normalised views, and boxes as the config's views and filter give them.

    The objects of the first view are .3 to .8 of it, as those of the paper's
    filter. In a crop they are larger, and may be cut off; one that is not there
    is replaced by the whole view. One of the batch is always nearly cut off, as
    it is in most batches of real images. Where the config makes the whole view one
    more object, that comes last.
    """
    import torch

    generator = torch.Generator().manual_seed(0)

    def uniform(*shape, low=0.0, high=1.0):
        return low + (high - low) * torch.rand(*shape, generator=generator)

    construct, select = cfg.train_dataloader.dataset.pipeline[1:3]
    sets = len(select.get('view_sets') or [0])
    shape = (batch_size, select.num_proposals * sets, 2)
    wh = 0.3 + 0.5 * uniform(*shape).square()  # most are small
    xy = (1 - wh) * uniform(*shape)
    whole = torch.cat([xy, xy + wh], -1)
    views, boxes = [], []
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
    if select.get('whole_view'):
        for index, view in enumerate(construct.views):
            last = torch.tensor([0.0, 0.0, view.size, view.size])
            last = last.expand(batch_size, sets, 4)
            boxes[index] = torch.cat([boxes[index], last], 1)
    valid = [torch.ones(box.shape[:2], dtype=torch.bool) for box in boxes]
    return [[x.to(device) for x in group] for group in (views, boxes, valid)]


def own_step(cfg, variant: str, batch, device: str):
    """The step of a config's model.

    Args:
        cfg (Config): The config.
        variant (str): One of ``VARIANTS``.
        batch: Views, boxes and masks.
        device (str): ``cpu`` or ``cuda``.

    Returns:
        tuple: The model, and a function that makes the step of a number.
    """
    import torch
    from mmengine.model import revert_sync_batchnorm

    from soco_mm.registry import MODELS, OPTIMIZERS

    if variant == 'frozen_backbone':
        cfg.model.frozen_parts = ('backbone',)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).to(device).train()
    model.init_weights()
    views, boxes, valid = batch
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

    return model, step


def released_step(cfg, folder: str, batch):
    """The step of the released code, as :func:`own_step`, and what losses it has."""
    import torch
    from mmengine.model import revert_sync_batchnorm
    from released_step import ReleasedStep

    from soco_mm.checkpoint import convert_released
    from soco_mm.registry import MODELS

    step = ReleasedStep(folder, batch)
    ours = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    state = {f'module.{name}': v for name, v in step.model.state_dict().items()}
    ours.load_state_dict(convert_released(state), strict=False)
    step.model.eval()  # in training, its norms see each level of an object apart
    with torch.no_grad():
        losses = [step.loss().item(), ours.loss(*batch)['loss'].item()]
    step.model.train()
    return step.model, lambda index: step(), dict(losses_of_equal_weights=losses)


def measure(
    config: str,
    variant: str,
    batch_size: int,
    steps: int,
    use_torchvision: bool = False,
    released: str | None = None,
    *,
    queue,
) -> None:
    """Time ``steps`` steps after two warm-up steps; put the figures."""
    import torch
    from mmengine.config import Config
    from mmengine.logging import MMLogger

    # The initialisation reports every parameter.
    MMLogger.get_instance('mmengine', log_level='ERROR')
    cfg = Config.fromfile(config)
    # The released step is built on the CPU, and what is compared runs beside it.
    on_gpu = torch.cuda.is_available() and released is None
    device = 'cuda' if on_gpu else 'cpu'
    torch.backends.cudnn.benchmark = cfg.get('env_cfg', {}).get(
        'cudnn_benchmark', False
    )
    libraries = 0 if device == 'cuda' else resident_peak()
    if use_torchvision:
        cfg.model.roi_head.bbox_roi_extractor.use_torchvision = True
    batch, further = make_batch(cfg, batch_size, device), {}
    if variant == 'released':
        model, step, further = released_step(cfg, released, batch)
    else:
        model, step = own_step(cfg, variant, batch, device)

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
            **further,
        )
    )


def resident_peak() -> int:
    """The most memory this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_apart(*arguments) -> dict:
    """What :func:`measure` puts, from a process of its own."""
    context = multiprocessing.get_context('spawn')
    queue = context.SimpleQueue()
    process = context.Process(target=measure, args=arguments, kwargs=dict(queue=queue))
    process.start()
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f'{arguments[0]}, {arguments[1]}: the step failed.')
    return queue.get()


def compare(rounds: list[list[dict]]) -> list[dict]:
    """A row for each variant, with its ratios to the first; medians of rounds.

    Args:
        rounds (list[list[dict]]): Figures of all variants, in the same order.
    """
    found = []
    for number, same in enumerate(zip(*rounds)):
        row: dict = dict(same[0])
        for key, value in row.items():
            if isinstance(value, float):
                row[key] = statistics.median(each[key] for each in same)
        for key, ratio in RATIOS.items():
            values = [each[0][key] / each[number][key] for each in rounds]
            if ratio == 'memory_to_first':
                values = [1 / value for value in values]
            row[ratio] = round(statistics.median(values), 2)
            if len(rounds) > 1:
                row[f'{ratio}_range'] = [round(min(values), 2), round(max(values), 2)]
        found.append(row)
    return found


def add_step_arguments(parser: argparse.ArgumentParser, steps: int) -> None:
    """Add what a step is measured of; ``steps`` is the default of their number."""
    parser.add_argument(
        '--config',
        default=str(ROOT / 'configs/soco/soco_r50_fpn_100e.py'),
        help='file of a config (default: soco_r50_fpn_100e)',
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images of a step (default: 8)'
    )
    parser.add_argument(
        '--steps',
        type=int,
        default=steps,
        help=f'measured steps after a warm-up (default: {steps})',
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_step_arguments(parser, steps=5)
    parser.add_argument(
        '--variants',
        nargs='+',
        choices=VARIANTS,
        default=['float32', 'channels_last', 'bfloat16'],
        help='channels_last is float32 too; all that follow use it; float16 needs '
        'CUDA; frozen_backbone is what --train neck,head does (default: float32 '
        'channels_last bfloat16)',
    )
    parser.add_argument(
        '--torchvision',
        action='store_true',
        help="use torchvision's RoIAlign instead of MMCV's",
    )
    parser.add_argument(
        '--released',
        metavar='FOLDER',
        help='a clone of https://github.com/hologerry/SoCo, whose step is measured '
        'first (float32 on a CPU)',
    )
    parser.add_argument(
        '--repeats',
        type=int,
        default=1,
        help='measure all variants so often in turn, and take medians (default: 1)',
    )
    args = parser.parse_args()
    variants = ['released'] * bool(args.released) + args.variants
    rows = compare(
        [
            [
                measure_apart(
                    args.config,
                    variant,
                    args.batch_size,
                    args.steps,
                    args.torchvision,
                    args.released,
                )
                for variant in variants
            ]
            for _ in range(args.repeats)
        ]
    )
    print(
        json.dumps(
            dict(
                config=Path(args.config).name,
                batch_size=args.batch_size,
                steps=args.steps,
                repeats=args.repeats,
                results=rows,
            ),
            indent=1,
        )
    )


if __name__ == '__main__':
    main()
