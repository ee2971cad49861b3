"""Grey levels that images of more than 8 bits keep."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .image import ImageError, decode_deep, decode_image
from .sizes import read_heads, sample_indices

DECODED = 16  # images that may be deep
FEW_LEVELS = 64  # of 256
STRETCH = '--stretch 0.5 99.5'
ADVICE = f'Use the whole range with {STRETCH}'


class DepthLoss(NamedTuple):
    """Loss of grey levels in images that use a small part of their range.

    Attributes:
        path (str): The image with the fewest levels.
        levels (int): Its grey levels after the reduction.
        before (int): Its grey levels in the file.
        num_images (int): How many of the images looked at have few levels left.
        looked_at (int): How many were looked at.
    """

    path: str
    levels: int
    before: int
    num_images: int
    looked_at: int

    def describe(self, advice: str = ADVICE) -> str:
        """A warning, with what to do."""
        return (
            f'WARNING: {self.num_images} of {self.looked_at} images looked at '
            'have more than 8 bits, of which they use a small range: with 8 '
            f'bits, {self.levels} grey level{"s" * (self.levels > 1)} of '
            f'{self.before} are left of {self.path}. {advice}'
        )


def find_depth_loss(
    root: str, paths: Sequence[str], max_pixels: int | None = None
) -> DepthLoss | None:
    """Look for a loss of grey levels in a sample of images.

    Args:
        root (str): The folder of images.
        paths (Sequence[str]): Paths of the images relative to it.
        max_pixels (int, optional): Larger images are not looked at. Defaults to
            None, no limit.

    Returns:
        DepthLoss: The loss; None if no image has few levels left, or they
        had as few before.
    """
    deep, looked_at = sample_deep(root, paths, max_pixels)
    step = max(1, len(deep) // DECODED)
    losses = []
    for path in deep[::step]:
        try:
            data = np.fromfile(os.path.join(root, path), np.uint8)
            before = count_levels(decode_deep(data))
            levels = count_levels(decode_image(data))
        except (ImageError, OSError):
            continue  # counted with the reason where it is used
        if levels < FEW_LEVELS and before > 2 * levels:
            losses.append((levels, before, path))
    if not losses:
        return None
    levels, before, path = min(losses)
    return DepthLoss(path, levels, before, len(losses) * step, looked_at)


def sample_deep(
    root: str, paths: Sequence[str], max_pixels: int | None = None
) -> tuple[list[str], int]:
    """Those of a sample of images that may have more than 8 bits per channel.

    Args:
        root (str): The folder of images.
        paths (Sequence[str]): Paths of the images relative to it.
        max_pixels (int, optional): Larger ones are left out. Defaults to None, no
            limit.

    Returns:
        tuple: Their paths, and how many images were looked at.
    """
    sample = [paths[index] for index in sample_indices(len(paths))]
    deep = [
        path
        for path, head in zip(sample, read_heads(root, sample))
        if not isinstance(head, ImageError) and head.deep
        if max_pixels is None or head.size[0] * head.size[1] <= max_pixels
    ]
    return deep, len(sample)


def count_levels(image: np.ndarray) -> int:
    """The largest number of different values in a channel, (H, W, C)."""
    return max(
        len(np.unique(image[..., channel])) for channel in range(image.shape[-1])
    )
