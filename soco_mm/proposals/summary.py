"""Figures of a store of proposals, in words."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soco_mm.proposals import ProposalStore
from soco_mm.proposals.layout import FAILURES
from soco_mm.utils.depth import find_depth_loss
from soco_mm.utils.files import printable


def warn_of_depth(root: str, paths: Sequence[str], stretch: tuple | None) -> None:
    """Say so where the reduction to 8 bits leaves few grey levels.

    Args:
        root (str): The folder of images.
        paths (Sequence[str]): Paths of the images relative to it.
        stretch (tuple, optional): How they are reduced; with percentiles,
            nothing is said.
    """
    if stretch is None and (loss := find_depth_loss(root, paths)):
        print(printable(loss.describe()), flush=True)


def summarize(
    store: ProposalStore, kept: int = 0, seconds: float | None = None
) -> dict:
    """Figures of a store.

    Args:
        store (ProposalStore): The store.
        kept (int): Images that were done before. Defaults to 0.
        seconds (float, optional): CPU time of an image. Defaults to None, not
            known.

    Returns:
        dict: ``store``, ``images``, ``boxes``, ``boxes_per_image``
        (quantiles), ``status``, ``failures``, ``left_out``,
        ``first_failures``, ``kept``, ``bytes_per_image`` and
        ``seconds_per_image``.
    """
    counts = np.diff(store.arrays['offsets'])
    quantiles = dict(min=0, p10=0.1, median=0.5, p90=0.9, max=1)
    failures = store.failures()
    left_out = sum(each['image'] not in store for each in failures)
    size = sum(path.stat().st_size for path in store.folder.iterdir())
    number = len(store)
    return dict(
        store=str(store.folder),
        images=number,
        boxes=store.header['num_boxes'],
        boxes_per_image={
            name: float(np.quantile(counts, q)) if number else 0.0
            for name, q in quantiles.items()
        },
        status=store.header['status'],
        failures=len(failures),
        left_out=left_out,
        first_failures=failures[:5],
        kept=kept,
        bytes_per_image=round(size / max(number, 1), 1),
        seconds_per_image=seconds and round(seconds, 4),
    )


def describe_proposals(summary: dict) -> str:
    """Put the figures of :func:`summarize` into words."""
    quantiles = summary['boxes_per_image']
    lines = [
        f'Proposals: {printable(summary["store"])}',
        f'  {summary["images"]} images, {summary["boxes"]} boxes; '
        f'{quantiles["median"]:.0f} an image ({quantiles["p10"]:.0f} to '
        f'{quantiles["p90"]:.0f} in four fifths of them, '
        f'{quantiles["min"]:.0f} to {quantiles["max"]:.0f} in all); '
        f'{summary["bytes_per_image"]:.0f} bytes an image',
    ]
    if summary['seconds_per_image'] is not None:
        lines[-1] += f', {summary["seconds_per_image"]:.3f} CPU-seconds'
    if summary['kept']:
        lines.append(f'  {summary["kept"]} images were done before')
    fallbacks = dict(summary['status'])
    del fallbacks['filtered']
    # Those on which the generator failed are counted below.
    fallbacks['whole_image'] -= summary['failures'] - summary['left_out']
    if any(fallbacks.values()):
        lines.append(
            '  images whose filter had to be relaxed: '
            + ', '.join(
                f'{name.replace("_", " ")} {number}'
                for name, number in fallbacks.items()
                if number
            )
        )
    if summary['failures']:
        lines.append(
            f'  {summary["failures"]} images failed: '
            f'{summary["left_out"]} cannot be used, '
            f'{summary["failures"] - summary["left_out"]} got the whole image '
            f'as their box; see {Path(summary["store"]) / FAILURES}'
        )
        lines += [
            f'    {printable(failure["image"])} {failure["reason"]}'
            for failure in summary['first_failures']
        ]
    return '\n'.join(lines)
