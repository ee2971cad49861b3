"""The table of a step by part, and the batch that its benchmarks are run on."""

import importlib
import math
from types import SimpleNamespace

import commands
import pytest
import small
import torch
from mmengine.model import revert_sync_batchnorm

from soco_mm.engine.config import load_config
from soco_mm.planning import step as planned
from soco_mm.registry import MODELS

IMAGES, OBJECTS = 2, 4
WIDTHS = (16, 32, 64, 128)  # of the stages of tests/recipes/soco_small.py
FPN, HIDDEN, FEATURES, Z = 32, 64, 64, 256


@pytest.fixture
def tools(monkeypatch):
    monkeypatch.syspath_prepend(commands.ROOT / 'tools/analysis_tools')
    names = ('step_parts', 'benchmark_step', 'benchmark_recipes')
    return SimpleNamespace(**{name: importlib.import_module(name) for name in names})


def conv(inputs: int, outputs: int, kernel: int, side: int) -> int:
    """Multiply-adds of a convolution whose output is square."""
    return inputs * outputs * kernel**2 * side**2


def side_of(view: int, stage: int) -> int:
    """Side of the map of a stage; a stride of 2 rounds up."""
    return math.ceil(view / 4 / 2**stage)


def resnet18(side: int) -> tuple[int, int]:
    """Multiply-adds of the first convolution, and of all others."""
    others, before = 0, WIDTHS[0]
    for stage, width in enumerate(WIDTHS):
        out = side_of(side, stage)
        others += conv(before, width, 3, out) + 3 * conv(width, width, 3, out)
        if stage:
            others += conv(before, width, 1, out)
        before = width
    return conv(3, WIDTHS[0], 7, side // 2), others


def fpn(side: int, skipped: int) -> int:
    """Multiply-adds of all maps but the finest that are skipped."""
    levels = list(enumerate(WIDTHS))[skipped:]
    return sum(
        conv(width, FPN, 1, side_of(side, level))
        + conv(FPN, FPN, 3, side_of(side, level))
        for level, width in levels
    )


def test_operations_of_each_part_are_those_of_its_layers(tools):
    cfg = load_config(small.SOCO)
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    batch = tools.benchmark_step.make_batch(cfg, IMAGES, 'cpu')
    parts = tools.step_parts.Parts(model, cfg, batch)
    found = tools.step_parts.measure(parts, 'cpu', None, steps=1)

    views = [view.shape[-1] for view in batch[0]]
    skipped = model.idle_levels(batch[1])
    assert skipped[0] > 0  # no object of .3 and more of the view is on P2
    stems, stages = (IMAGES * sum(each) for each in zip(*map(resnet18, views)))
    neck = IMAGES * sum(map(fpn, views, skipped))
    objects = IMAGES * OBJECTS * len(views)
    head = objects * (4 * conv(FPN, FPN, 3, 7) + FPN * 49 * FEATURES)
    projector = objects * (FEATURES * HIDDEN + HIDDEN * Z)
    # Backwards: of the weights, and of the input unless it is the image.
    wanted = {
        'backbone': 2 * (2 * stems + 3 * stages),
        'neck': 2 * 3 * neck,
        'head': 2 * 3 * head,
        'projector': 2 * 3 * projector,
        'target': 2 * (stems + stages + neck + head + projector),
        'predictor and loss': 2 * 3 * objects * (Z * HIDDEN + HIDDEN * Z),
        'optimiser': 0,
    }
    assert {name: row['flops'] for name, row in found.items()} == wanted


@pytest.mark.parametrize(
    'name',
    ['soco_r50_c4_100e', 'soco_r50_fpn_joint_100e', 'released/soco_r50_fpn_100e'],
)
def test_the_batch_of_a_benchmark_has_the_shapes_of_the_data(tools, name):
    cfg = load_config(name)
    views, boxes, valid = tools.benchmark_step.make_batch(cfg, 2, 'cpu')
    real = planned.make_batch(cfg, 2)
    assert [each.shape[2:] for each in views] == [
        each.shape[1:3] for each in real['views']
    ]
    assert [each.shape for each in boxes] == [each.shape for each in real['boxes']]
    assert [each.shape for each in valid] == [each.shape for each in real['valid']]
    for view, each in zip(views, boxes):
        assert (each[..., 2:] > each[..., :2]).all() and each.max() <= view.shape[-1]


def test_the_whole_view_as_one_more_object_is_measured(tools):
    costs = tools.benchmark_recipes.costs
    assert costs('soco_r50_fpn_joint_100e') != costs('soco_r50_fpn_100e')
    assert costs('soco_r50_fpn_400e') == costs('soco_r50_fpn_100e')
    cfg = load_config('soco_r50_fpn_joint_100e')
    views, boxes, _ = tools.benchmark_step.make_batch(cfg, 2, 'cpu')
    for view, each in zip(views, boxes):
        side = view.shape[-1]
        assert torch.equal(each[:, -1], torch.tensor([[0.0, 0, side, side]] * 2))


def test_ratios_are_medians_of_those_within_a_round(tools):
    def row(seconds, memory):
        return dict(
            seconds_per_step=seconds,
            cpu_seconds_per_step=seconds,
            own_memory_mib=memory,
        )

    # The machine is slower in each round.
    rounds = [
        [row(k * 8.0, 400), row(k * each, 100)]
        for k, each in zip((1, 2, 4), (2.0, 4.0, 1.0))
    ]
    first, second = tools.benchmark_step.compare(rounds)
    assert first['speed_to_first'] == 1 and second['speed_to_first'] == 4
    assert second['cpu_speed_to_first_range'] == [2, 8]
    assert second['seconds_per_step'] == 4 and second['memory_to_first'] == 0.25
