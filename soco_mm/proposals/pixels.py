"""Compare proposals with the sizes of the images they are used with."""

import os
from collections.abc import Sequence

from soco_mm.utils import ImageError, SoCoError, read_heads
from soco_mm.utils.sizes import sample_indices

from .store import ProposalStore

RESIZE_TOLERANCE = 1  # error of a side, in pixels, from resizing an image


def scale_between(
    known: tuple[int, int], size: tuple[int, int]
) -> tuple[float, float] | None:
    """How boxes follow an image that was resized.

    Args:
        known (tuple): Width and height in pixels that the boxes are for.
        size (tuple): Width and height of the image in pixels.

    Returns:
        tuple: The factors of x and y; None if the image was changed in
        another way, such as by a crop or a turn of 90 degrees.

    Example:
        >>> from soco_mm.proposals.pixels import scale_between
        >>> scale_between((640, 426), (320, 213))
        (0.5, 0.5)
        >>> scale_between((640, 426), (426, 640)) is None
        True
    """
    (width, height), (new_width, new_height) = known, size
    turned = (height, width) == tuple(size) and width != height
    # By the longer side, which rounding changes less.
    if width >= height:
        differs = abs(height * new_width / width - new_height)
    else:
        differs = abs(width * new_height / height - new_width)
    # The side that was rounded may be that of either image.
    tolerance = RESIZE_TOLERANCE * max(1, new_width / width, new_height / height)
    if turned or differs > tolerance:
        return None
    return new_width / width, new_height / height


def explain_sizes(known: tuple[int, int], size: tuple[int, int]) -> str:
    """Why boxes do not fit an image, in words that follow its path."""
    return (
        f'has {size[0]}x{size[1]} pixels, but its proposals are for '
        f'{known[0]}x{known[1]}. Make the proposals of the images that '
        'are trained on.'
    )


def compare_sizes(
    store: ProposalStore, root: str, indices: Sequence[int] | None = None
) -> list[str]:
    """Compare a sample of the images with what the store says of them.

    Args:
        store (ProposalStore): The proposals.
        root (str): The folder of the images.
        indices (Sequence[int], optional): Which images of the store are used.
            Defaults to None, all.

    Returns:
        list[str]: Notes before the training, one sentence each.

    Raises:
        SoCoError: If all images are missing, or one has a size that its boxes
            cannot be scaled to.
    """
    picked = sample_indices(len(store) if indices is None else len(indices))
    if indices is not None:
        picked = [int(indices[each]) for each in picked]
    paths = [store.path(index) for index in picked]
    missing, scaled = [], []
    for index, path, head in zip(picked, paths, read_heads(root, paths)):
        if isinstance(head, ImageError):
            if not os.path.exists(os.path.join(root, path)):
                missing.append(path)
            continue  # training uses another image instead
        known = store.size(index)
        if head.size == known:
            continue
        if scale_between(known, head.size) is None:
            raise SoCoError(
                f'{os.path.join(root, path)} {explain_sizes(known, head.size)}'
            )
        scaled.append(
            f'{path} has {head.size[0]}x{head.size[1]} pixels, not '
            f'{known[0]}x{known[1]}'
        )
    if paths and len(missing) == len(paths):
        raise SoCoError(
            f'There is no image {os.path.join(root, missing[0])}, although it '
            'has proposals. Set train_dataloader.dataset.data_root to the '
            'folder they were made for.'
        )
    notes = []
    if missing:
        notes.append(
            f'{len(missing)} of {len(paths)} images looked at are '
            f'missing, for example {missing[0]}; others are used '
            'instead'
        )
    if scaled:
        notes.append(
            f'{len(scaled)} of {len(paths)} images looked at were '
            f'resized since their proposals were made ({scaled[0]}); '
            'boxes are scaled'
        )
    return notes
