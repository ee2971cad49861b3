"""Figures of a store of proposals, as text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from soco_mm.log import logger
from soco_mm.utils.depth import ADVICE, find_depth_loss
from soco_mm.utils.texts import printable

from .layout import FAILURES, FILES, FOUND
from .store import ProposalStore

# Share of the boxes found that are smaller than what is kept, above which a run
# says in words what that means.
MOSTLY = 0.5


def warn_of_depth(
    root: str,
    paths: Sequence[str],
    stretch: tuple | None,
    advice: str = ADVICE,
    max_pixels: int | None = None,
) -> None:
    """Warn if the reduction to 8 bits leaves few grey levels.

    Args:
        root (str): The folder of images.
        paths (Sequence[str]): Paths of the images relative to it.
        stretch (tuple, optional): How they are reduced; with percentiles,
            nothing is said.
        advice (str): What to do.
        max_pixels (int, optional): Larger images are not looked at. Defaults to
            None, no limit.
    """
    if stretch is None and (loss := find_depth_loss(root, paths, max_pixels)):
        logger.warning(printable(loss.describe(advice)))


@dataclass(kw_only=True)
class ProposalSummary:
    """Figures of a store of proposals.

    Attributes:
        store (str): The store, a folder.
        images (int): Number of images.
        boxes (int): Number of boxes.
        boxes_per_image (dict[str, float]): Its quantiles ``min``, ``p10``,
            ``median``, ``p90`` and ``max``.
        status (dict[str, int]): Number of images by the filter that they got.
        failures (int): Number of images that failed.
        left_out (int): Number of those that cannot be used.
        first_failures (list[dict]): Up to five of them, ``image`` and
            ``reason``.
        kept (int): Number of images that were done before.
        bytes_per_image (float): Size of the store per image.
        seconds_per_image (float, optional): CPU time per image; None where
            it is not known.
        sizes (list[str]): Sentences on the sizes that the filter keeps, see
            :func:`describe_sizes`.
    """

    store: str
    images: int
    boxes: int
    boxes_per_image: dict[str, float]
    status: dict[str, int]
    failures: int
    left_out: int
    first_failures: list[dict]
    kept: int
    bytes_per_image: float
    seconds_per_image: float | None
    sizes: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """The figures as text."""
        quantiles = self.boxes_per_image
        lines = [
            f'Proposals: {printable(self.store)}',
            f'  {self.images} images, {self.boxes} boxes; '
            f'median {quantiles["median"]:.0f} per image ({quantiles["p10"]:.0f} to '
            f'{quantiles["p90"]:.0f} in four fifths of them, '
            f'{quantiles["min"]:.0f} to {quantiles["max"]:.0f} in all); '
            f'{self.bytes_per_image:.0f} bytes per image',
        ]
        if self.seconds_per_image is not None:
            lines[-1] += f', {self.seconds_per_image:.3f} CPU-seconds'
        lines += [f'  {line}' for line in self.sizes]
        if self.kept:
            lines.append(f'  {self.kept} images were done before')
        fallbacks = dict(self.status)
        del fallbacks['filtered']
        # Those on which the generator failed are counted below.
        fallbacks['whole_image'] -= self.failures - self.left_out
        if any(fallbacks.values()):
            lines.append(
                '  images whose filter had to be relaxed: '
                + ', '.join(
                    f'{name.replace("_", " ")} {number}'
                    for name, number in fallbacks.items()
                    if number
                )
            )
        if self.failures:
            lines.append(
                f'  {self.failures} images failed: '
                f'{self.left_out} cannot be used, '
                f'{self.failures - self.left_out} got the whole image '
                f'as their box; see {Path(self.store) / FAILURES}'
            )
            lines += [
                f'    {printable(failure["image"])} {failure["reason"]}'
                for failure in self.first_failures
            ]
        return '\n'.join(lines)


def describe_sizes(header: dict) -> list[str]:
    """Which sizes of boxes are kept, in numbers, and a warning in words.

    Args:
        header (dict): ``filter``, ``found`` and ``derived`` of a store.

    Returns:
        list[str]: The sizes, and if most of what was found is smaller and nothing
        says that objects are not, the warning. Empty without a filter.
    """
    shape, found = header.get('filter'), header.get('found')
    if not shape:
        return []
    low, high = shape['size_range']
    kept = f"kept: boxes of {low:g} to {high:g} of the image's side"
    if not found or not found['boxes']:
        return [kept]
    number, small, large = (found[key] for key in FOUND)
    lines = [f'{kept}; of {number} found, {small} were smaller and {large} larger']
    if small > MOSTLY * number and not header.get('derived'):
        lines.append(
            f'WARNING: {100 * small / number:.0f} % of the boxes found are smaller '
            'than what is kept. If your objects are that small, training sees none of '
            'them: a few annotated images tell, with --ann ANN'
        )
    return lines


def summarize(
    store: ProposalStore, kept: int = 0, seconds: float | None = None
) -> ProposalSummary:
    """Figures of a store.

    Args:
        store (ProposalStore): The store.
        kept (int): Images that were done before. Defaults to 0.
        seconds (float, optional): CPU time per image. Defaults to None, not
            known.

    Returns:
        ProposalSummary: The figures.
    """
    counts = np.diff(store.arrays['offsets'])
    quantiles = dict(min=0, p10=0.1, median=0.5, p90=0.9, max=1)
    failures = store.failures()
    left_out = sum(each['image'] not in store for each in failures)
    size = sum((store.folder / name).stat().st_size for name in FILES)
    number = len(store)
    return ProposalSummary(
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
        sizes=describe_sizes(store.header),
    )
