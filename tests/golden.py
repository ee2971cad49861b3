"""Inputs and weights of a golden case of the authors' released FPN model.

Weights follow from the names of a released checkpoint and inputs from a seed,
so that the case needs no files; the figures are what the released model gave
on them, in evaluation mode and float32.
"""

import argparse
import zlib

import numpy as np
import torch

SEED = 11
LOSS = 0.3019539713859558
GRAD_NORMS = {
    'backbone.conv1.weight': 0.14610044658184052,
    'backbone.layer4.2.conv3.weight': 1.9395503997802734,
    'neck.lateral_convs.0.conv.weight': 0.0003071282699238509,
    'neck.fpn_convs.0.conv.weight': 0.9095202684402466,
    'neck.fpn_convs.1.conv.weight': 2.718933343887329,
    'neck.fpn_convs.2.conv.weight': 4.302186012268066,
    'neck.fpn_convs.3.conv.weight': 3.026380777359009,
    'roi_head.bbox_head.shared_convs.0.conv.weight': 6.175350189208984,
    'roi_head.bbox_head.shared_fcs.0.weight': 20.928842544555664,
    'projector.fc0.weight': 6.558975696563721,
    'head.predictor.fc1.weight': 19.07891082763672,
}


def fill(name: str, shape: tuple) -> torch.Tensor:
    """Values of a released checkpoint's entry."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith('num_batches_tracked'):
        return torch.zeros(shape, dtype=torch.int64)
    if name.endswith('running_var') or (name.endswith('weight') and len(shape) == 1):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) <= 1:
        values = 0.05 * rng.standard_normal(shape)
    else:
        values = np.sqrt(2 / np.prod(shape[1:])) * rng.standard_normal(shape)
    return torch.from_numpy(np.asarray(values, np.float32))


def released_shapes() -> dict:
    """Name and shape of every entry of a released FPN checkpoint."""
    shapes = {}

    def norm(name: str, channels: int) -> None:
        for entry in ('weight', 'bias', 'running_mean', 'running_var'):
            shapes[f'{name}.{entry}'] = (channels,)
        shapes[f'{name}.num_batches_tracked'] = ()

    def mlp(name: str, channels: int) -> None:
        shapes[f'{name}.linear1.weight'] = (4096, channels)
        shapes[f'{name}.linear1.bias'] = (4096,)
        norm(f'{name}.bn1', 4096)
        shapes[f'{name}.linear2.weight'] = (256, 4096)
        shapes[f'{name}.linear2.bias'] = (256,)

    for suffix in ('', '_k'):
        encoder = f'module.encoder{suffix}'
        shapes[f'{encoder}.conv1.weight'] = (64, 3, 7, 7)
        norm(f'{encoder}.bn1', 64)
        channels = 64
        for layer, blocks in enumerate((3, 4, 6, 3)):
            planes = 64 * 2**layer
            for block in range(blocks):
                name = f'{encoder}.layer{layer + 1}.{block}'
                shapes[f'{name}.conv1.weight'] = (planes, channels, 1, 1)
                norm(f'{name}.bn1', planes)
                shapes[f'{name}.conv2.weight'] = (planes, planes, 3, 3)
                norm(f'{name}.bn2', planes)
                shapes[f'{name}.conv3.weight'] = (4 * planes, planes, 1, 1)
                norm(f'{name}.bn3', 4 * planes)
                if block == 0:
                    shapes[f'{name}.downsample.0.weight'] = (4 * planes, channels, 1, 1)
                    norm(f'{name}.downsample.1', 4 * planes)
                channels = 4 * planes
        for level in range(4):
            for kind, shape in (
                ('lateral', (256, 256 * 2**level, 1, 1)),
                ('fpn', (256, 256, 3, 3)),
            ):
                name = f'module.neck{suffix}.{kind}_convs.{level}'
                shapes[f'{name}.conv.weight'] = shape
                norm(f'{name}.bn', 256)
        for conv in range(1, 5):
            shapes[f'module.head{suffix}.conv{conv}.weight'] = (256, 256, 3, 3)
            norm(f'module.head{suffix}.bn{conv}', 256)
        shapes[f'module.head{suffix}.fc1.weight'] = (1024, 256 * 49)
        shapes[f'module.head{suffix}.fc1.bias'] = (1024,)
        mlp(f'module.projector{suffix}', 1024)
    mlp('module.predictor', 256)
    return shapes


def released_checkpoint() -> dict:
    """A released checkpoint with the golden weights."""
    return dict(
        model={name: fill(name, shape) for name, shape in released_shapes().items()},
        opt=argparse.Namespace(batch_size=128),
        epoch=100,
    )


def make_boxes(seed: int, size: int, sides: list) -> np.ndarray:
    """Boxes of two images, x1 y1 x2 y2, (2, 4, 4)."""
    rng = np.random.default_rng(seed)
    out = np.zeros((2, 4, 4), np.float32)
    for i in range(2):
        for j in range(4):
            side = sides[(i * 4 + j) % len(sides)]
            w, h = min(side * 1.15, size - 2), min(side / 1.15, size - 2)
            x = rng.uniform(0, size - w - 1)
            y = rng.uniform(0, size - h - 1)
            out[i, j] = x, y, x + w, y + h
    return out


def inputs() -> tuple:
    """Views, boxes and masks: 8 proposals, four in each pair of views."""
    views = [
        torch.from_numpy(
            np.random.default_rng(seed)
            .standard_normal((2, 3, size, size))
            .astype(np.float32)
        )
        for seed, size in ((SEED + 5, 224), (SEED + 6, 224), (SEED + 7, 112))
    ]
    absent = np.zeros((2, 4, 4), np.float32)
    boxes = [
        (
            make_boxes(SEED + 1, 224, [70, 120, 160, 210]),
            make_boxes(SEED + 2, 224, [100, 180, 205, 60]),
        ),
        (make_boxes(SEED + 3, 224, [110, 170, 205, 80]), absent),
        (absent, make_boxes(SEED + 4, 112, [40, 60, 80, 30])),
    ]
    valid = [(True, True), (True, False), (False, True)]
    boxes = [torch.from_numpy(np.concatenate(pair, 1)) for pair in boxes]
    valid = [
        torch.tensor([first] * 4 + [second] * 4).expand(2, 8) for first, second in valid
    ]
    return views, boxes, valid
