"""A plan as text."""

from collections.abc import Sequence

from soco_mm.utils.durations import in_words

from .memory import MIB, RESERVED
from .plan import DAY, Plan
from .roofline import REACHED_BANDWIDTH, REACHED_FLOPS

GIB = 1024 * MIB


def describe_plan(plan: Plan) -> str:
    """A plan as a user reads it.

    Args:
        plan (Plan): The plan.

    Returns:
        str: Paragraphs and tables.
    """
    precision = 'mixed precision' if plan.mixed else 'float32'
    head = (
        f'{plan.config}: {plan.memory.batch_size} images on each of {plan.gpus} '
        f'GPU{"s" * (plan.gpus != 1)}, {precision}'
    )
    return '\n\n'.join(
        [head, parts_table(plan), memory_lines(plan), times_table(plan), advice(plan)]
    )


def parts_table(plan: Plan) -> str:
    """The costs of an image by part."""
    rows = [['per image', 'parameters', 'activations', 'GFLOP', 'memory traffic']]
    total = [0.0] * 4
    for part in plan.parts:
        numbers = (part.parameters, part.activations, part.flops, part.bytes)
        total = [a + b for a, b in zip(total, numbers)]
        rows.append(cost_row(part.name, numbers))
    rows.append(cost_row('total', total))
    return aligned(rows)


def cost_row(name: str, numbers: Sequence[float]) -> list[str]:
    """A row of the table of costs."""
    parameters, activations, flops, moved = numbers
    return [
        name,
        f'{parameters / 1e6:.1f} M',
        f'{activations / MIB:.1f} MiB',
        f'{flops / 1e9:.1f}',
        f'{moved / 1e6:.0f} MB',
    ]


def memory_lines(plan: Plan) -> str:
    """Memory of one GPU, and what fits."""
    held = plan.memory
    rows = [
        ['weights', f'{held.weights / MIB:.0f} MiB'],
        ['target network', f'{held.target / MIB:.0f} MiB'],
        ['weights for replay', f'{held.replay_copy / MIB:.0f} MiB'],
        ['optimiser', f'{held.optimizer / MIB:.0f} MiB'],
        ['gradients', f'{held.gradients / MIB:.0f} MiB, while activations are freed'],
        *([['DDP buckets', f'{held.buckets / MIB:.0f} MiB']] * (plan.gpus > 1)),
        ['activations', f'{sum(held.activations.values()) / GIB:.2f} GiB'],
        ['peak', f'{held.peak / GIB:.2f} GiB'],
    ]
    text = (
        f'Memory of one GPU (each image more: {held.per_image / MIB:.0f} MiB)\n'
        f'{aligned(rows)}'
    )
    if plan.memory_limit is not None:
        text += (
            f'\nLargest batch in {plan.memory_limit:g} GiB, of which {RESERVED:.0%} '
            f'stay free: {plan.largest_batch}'
        )
    return text


def times_table(plan: Plan) -> str:
    """Time and loaders on several kinds of GPU."""
    rows = [
        ['at best', 'largest batch', 'iteration', 'images/s', 'days', 'loading cores']
    ]
    rows += [
        [
            f'{each.name} {each.memory} GB',
            str(each.largest_batch),
            f'{1000 * each.seconds:.0f} ms',
            f'{each.images_per_second:,.0f}',
            f'{each.days:.1f}' if each.days >= 0.95 else in_words(DAY * each.days),
            f'{each.loader_cores:.1f}',
        ]
        for each in plan.times
    ]
    length = f'{plan.epochs} epochs of {plan.images:,} images'
    if plan.steps:
        length = f'{plan.steps:,} steps of {plan.scaling.batch:,} images'
    return (
        f'{aligned(rows)}\n'
        f'{length}; operators one after another at {REACHED_FLOPS:.0%} of the '
        f"GPU's operations and {REACHED_BANDWIDTH:.0%} of its bandwidth; a core "
        f'here loads {plan.loading_rate:.0f} images/s.'
    )


def advice(plan: Plan) -> str:
    """Batch of a step, disk, and what is not counted."""
    lines = []
    scaling = plan.scaling
    if scaling.recipe_batch is None:
        lines.append(f'A step has {scaling.batch} images.')
    elif scaling.batch == scaling.recipe_batch:
        lines.append(f'A step has {scaling.batch} images, as the recipe is for.')
    else:
        ways = f'--auto-scale: learning rate x {scaling.rate_factor:.4g}, target '
        ways += f'momentum {scaling.momentum:.5f} at the start'
        if scaling.batch < scaling.recipe_batch:
            ways = f'--accumulate {scaling.accumulate}, or {ways}'
        lines.append(
            f'A step has {scaling.batch} images, the recipe is for '
            f'{scaling.recipe_batch}: {ways}.'
        )
    size = plan.checkpoint_bytes
    lines.append(
        f'Disk: {size / MIB:.0f} MiB a checkpoint, up to {plan.checkpoints} at a time: '
        f'{size * plan.checkpoints / GIB:.1f} GiB.'
    )
    return '\n'.join([*lines, *plan.notes])


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text, whose columns but the first are to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    return '\n'.join(
        '  '.join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    )
