"""Measure a training step part by part: seconds, FLOPs and share of the peak, as JSON.

Each part runs alone, forward and backward, on what the part before it makes of
random views, so that its seconds are its own; on a CPU they are CPU-seconds.
FLOPs are those of convolutions and matrix products; the peak is what this
machine reaches in a large matrix product of the same dtype. ResNet-50-FPN at
224/224/112 unless the config says otherwise.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from benchmark_step import add_step_arguments, make_batch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import revert_sync_batchnorm
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from soco_mm.models import ObjectEncoder
from soco_mm.registry import MODELS, OPTIMIZERS

DTYPES = dict(float32=None, bfloat16=torch.bfloat16, float16=torch.float16)


def clock(device: str) -> float:
    """Seconds so far: of the GPU, with all it has to do, or of this process."""
    if device == 'cuda':
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


def peak_flops(device: str, dtype: torch.dtype) -> float:
    """FLOPs per second of a matrix product, the best of five."""
    # On a GPU long enough that its start does not count, and as precise as the
    # convolutions it is compared with.
    side = 8192 if device == 'cuda' else 2048
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    a = torch.randn(side, side, device=device, dtype=dtype)
    seconds = []
    for _ in range(6):
        started = clock(device)
        a @ a
        seconds.append(clock(device) - started)
    return 2 * side**3 / min(seconds)


def detached(value):
    """A part's output as the input of the next one, with gradients of its own."""
    if value is None:
        return None
    if isinstance(value, Tensor):
        return value.detach().requires_grad_()
    return type(value)(map(detached, value))


def tensors(value) -> list[Tensor]:
    """All tensors of a nested output."""
    if value is None or isinstance(value, Tensor):
        return [] if value is None else [value]
    return [each for part in value for each in tensors(part)]


def backward(outputs) -> None:
    """Gradients of ones, as a loss behind the part would send."""
    outputs = [each for each in tensors(outputs) if each.requires_grad]
    torch.autograd.backward(outputs, [torch.ones_like(each) for each in outputs])


class Parts:
    """The parts of a step of a model, in their order.

    Args:
        model (SoCo): The model, in training mode.
        cfg (Config): Its config.
        batch: Views, boxes and masks.
    """

    def __init__(self, model, cfg: Config, batch) -> None:
        self.model, self.batch = model, batch
        self.optimizer = OPTIMIZERS.build(
            dict(
                cfg.optim_wrapper.optimizer,
                params=[p for p in model.parameters() if p.requires_grad],
            )
        )

    def run(self, measured: Callable) -> None:
        """Run each part once.

        Args:
            measured (Callable): Gets the name of a part and its function, whose
                result it returns.
        """
        (views, boxes, valid), model = self.batch, self.model
        net, target = model.trained_net, model.target_net.module
        inputs = [model.shared_feats(view) for view in views]
        skipped = model.idle_levels(boxes)
        feats = inputs
        if net.backbone is not None:
            feats = measured('backbone', lambda: list(map(net.backbone, inputs)))
            feats = detached(feats)
        if net.neck is not None:
            behind = ObjectEncoder(None, net.neck, net.roi_head, net.projector)
            maps = feats
            feats = measured('neck', lambda: behind.extract_views(maps, skipped))
            feats = detached(feats)
        h = measured('head', lambda: net.head_views(feats, boxes))
        objects = detached(h)
        z = measured('projector', lambda: net.project_views(objects, boxes))

        @torch.no_grad()
        def of_target():
            return target.forward_views(inputs, boxes, skipped)

        wanted = measured('target', of_target)
        online = detached(z)
        measured(
            'predictor and loss',
            lambda: [model.head.loss(online, wanted, valid, boxes)['loss']],
        )
        measured('optimiser', self.update)

    @torch.no_grad()
    def update(self) -> list:
        """The step of both networks."""
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.model.update_target(1, 1000)
        return []


def measure(parts: Parts, device: str, dtype: torch.dtype | None, steps: int) -> dict:
    """Seconds forward and backward, and FLOPs, of each part."""
    found: dict[str, dict] = {}
    counting = True

    def measured(name: str, function: Callable):
        row = found.setdefault(name, dict(flops=0, forward=[], backward=[]))
        counter = FlopCounterMode(display=False)
        if counting:
            counter.__enter__()
        started = clock(device)
        with torch.autocast(device, dtype, enabled=dtype is not None):
            result = function()
        middle = clock(device)
        if any(each.requires_grad for each in tensors(result)):
            backward(result)
        ended = clock(device)
        if counting:
            counter.__exit__(None, None, None)
            row['flops'] = counter.get_total_flops()
        else:
            row['forward'].append(middle - started)
            row['backward'].append(ended - middle)
        return result

    parts.run(measured)
    counting = False
    for _ in range(steps):
        parts.run(measured)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add_step_arguments(parser, steps=3)
    parser.add_argument(
        '--dtype',
        choices=list(DTYPES),
        default='float32',
        help='what to compute with (default: float32)',
    )
    args = parser.parse_args()
    MMLogger.get_instance('mmengine', log_level='ERROR')
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    dtype = DTYPES[args.dtype]
    cfg = Config.fromfile(args.config)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).to(device).train()
    views, boxes, valid = make_batch(cfg, args.batch_size, device)
    views = [view.to(memory_format=torch.channels_last) for view in views]
    found = measure(Parts(model, cfg, (views, boxes, valid)), device, dtype, args.steps)
    peak = peak_flops(device, dtype or torch.float32)
    rows, total = [], 0.0
    for name, row in found.items():
        forward, back = (statistics.median(row[key]) for key in ('forward', 'backward'))
        total += forward + back
        rows.append(
            dict(
                part=name,
                seconds=round(forward + back, 4),
                forward=round(forward, 4),
                backward=round(back, 4),
                gflops=round(row['flops'] / 1e9, 1),
                share_of_peak=round(row['flops'] / (forward + back) / peak, 3),
            )
        )
    for row in rows:
        row['share_of_step'] = round(row['seconds'] / total, 3)
    print(
        json.dumps(
            dict(
                config=Path(args.config).name,
                batch_size=args.batch_size,
                dtype=args.dtype,
                threads=torch.get_num_threads(),
                peak_gflops_per_second=round(peak / 1e9, 1),
                seconds=round(total, 4),
                parts=rows,
            ),
            indent=1,
        )
    )


if __name__ == '__main__':
    main()
