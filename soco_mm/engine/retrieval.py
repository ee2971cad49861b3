"""What a training has done to the features of objects, in words."""

from pathlib import Path
from typing import Any

from soco_mm.log import logger
from soco_mm.utils.files import read_dict

RETRIEVAL = 'retrieval.json'
# An effective rank below it, or below this share of that at the start, is a collapse.
LOW_RANK = 5
LOW_SHARE = 0.1


def read_retrieval(folder: str | Path) -> dict[str, Any]:
    """The figures of a run, see :class:`ObjectMetricsHook`; empty if there are none."""
    return read_dict(Path(folder, RETRIEVAL))


def log_retrieval(folder: str | Path) -> None:
    """Say at the end of a run whether it helped, as :func:`describe_retrieval`."""
    for line in describe_retrieval(read_retrieval(folder)):
        logger.info(line)


def is_half_measured(folder: str | Path) -> bool:
    """Whether a run ended while it was measured: before its training, not after."""
    figures = read_retrieval(folder)
    return 'before' in figures and 'after' not in figures


def describe_retrieval(figures: dict[str, Any]) -> list[str]:
    """The figures of a run as plain lines, with advice if something is wrong.

    Args:
        figures (dict): What :func:`read_retrieval` returns. ``before`` is
            missing where the run was started by an earlier version.

    Returns:
        list[str]: One sentence each; none without ``after``.

    Example:
        >>> figures = dict(rank=9.0, largest_rank=63, objects=64, images=8)
        >>> for line in describe_retrieval(
        ...     dict(before=figures | dict(found=0.25), after=figures | dict(found=0.5))
        ... ):
        ...     print(line)
        Objects found again in another view: 25 % before, 50 % after (of 64; chance \
1.6 %)
        Effective rank of object features: 9 before, 9 after (of at most 63)
    """
    before, after = figures.get('before'), figures.get('after')
    if not after:
        return []
    lines = [
        f'Objects found again in another view: {both(before, after, "found", percent)} '
        f'(of {after["objects"]}; chance {percent(1 / after["objects"])})',
        f'Effective rank of object features: {both(before, after, "rank", rounded)} '
        f'(of at most {after["largest_rank"]})',
    ]
    if annotated := after.get('annotated'):
        start = before and before.get('annotated')
        lines.append(
            'Nearest annotated object of the same class: '
            f'{both(start, annotated, "same_class", percent)} (mean over '
            f'{annotated["classes"]} classes; chance {percent(annotated["chance"])})'
        )
    if rpn := after.get('rpn'):
        lines.append(describe_rpn(before and before.get('rpn'), rpn))
    return lines + warnings(before, after)


def describe_rpn(before: dict | None, after: dict) -> str:
    """What the RPN finds, see :func:`measure_rpn`, as one sentence."""
    number = after['number']
    text = (
        f'Proposals that the {number} best boxes of the RPN find: '
        f'{both(before, after, "proposals", percent)}'
    )
    if 'objects' in after:
        text += (
            f'; annotated objects: {both(before, after, "objects", percent)} '
            f'({number} of the proposals find {percent(after["search"])})'
        )
    return text


def warnings(before: dict[str, Any] | None, after: dict[str, Any]) -> list[str]:
    """What is wrong with the figures, and what to do."""
    least = min(LOW_RANK, LOW_SHARE * after['largest_rank'])
    if before:
        least = max(least, LOW_SHARE * before['rank'])
    if after['rank'] < least:
        return [
            'WARNING: The features have collapsed: they hardly differ from object to '
            'object, and a detector gains little from them. Take a loss that keeps '
            'objects apart (ObjectInfoNCELoss), AdamW instead of LARS, or larger '
            'batches.'
        ]
    if before and after['found'] <= before['found'] < 1:
        return [
            'WARNING: Objects are not found more often than before: the training has '
            'not made the features of objects better. Train for longer, or with '
            'another learning rate.'
        ]
    return []


def both(before: dict | None, after: dict, key: str, text) -> str:
    """A figure before and after, as text."""
    start = f'{text(before[key])} before, ' if before else ''
    return f'{start}{text(after[key])} after'


def percent(share: float | None) -> str:
    """A share in percent, with as many digits as it needs; None is not known.

    Example:
        >>> percent(0.413), percent(0.0156)
        ('41 %', '1.6 %')
    """
    if share is None:
        return 'unknown'
    return f'{100 * share:.0f} %' if share >= 0.1 else f'{100 * share:.1f} %'


def rounded(value: float) -> str:
    """A number from 0, with as many digits as it needs."""
    return f'{value:.0f}' if value >= 10 or value == int(value) else f'{value:.1f}'
