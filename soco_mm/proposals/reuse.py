"""Check that proposals made earlier are of the images given."""

from pathlib import Path

from soco_mm.log import logger
from soco_mm.utils import UsageError
from soco_mm.utils.texts import printable

from .listing import ImageSet
from .pixels import compare_sizes
from .store import ProposalStore
from .summary import warn_of_depth


def check_proposals(
    proposals: str | Path, images: ImageSet, stretch: tuple[float, float] | None = None
) -> None:
    """Refuse proposals of other images.

    Args:
        proposals (str | Path): The proposals.
        images (ImageSet): The images to train on.
        stretch (tuple, optional): How those of more than 8 bits are reduced.
            Defaults to None, their upper 8 bits are used.

    Raises:
        SoCoError: If they cannot be read, or an image has a size that its
            boxes cannot be scaled to.
        UsageError: If none of these has proposals, or an existing image with
            proposals is not among these.
    """
    store = ProposalStore.open(proposals)
    given = set(images.paths)
    others = [path for path in store if path not in given]
    # Some may have been deleted since; but images not given are not trained on.
    there = [path for path in others if Path(images.root, path).is_file()]
    if there or len(others) == len(store):
        raise UsageError(
            f'The proposals in {proposals} are of other images: '
            f'{printable((there or others)[0])} is not in the {len(given)} '
            f'images given, of {images.root}. Give the images that they were '
            'made of.'
        )
    if others:
        logger.info(
            f'{len(others)} of {len(store)} images of {proposals} are missing '
            f'in {images.root}, for example {printable(others[0])}; others '
            'are used instead'
        )
    if lacking := len(given) + len(others) - len(store):
        logger.info(
            f'{lacking} of {len(given)} images have no proposals in '
            f'{proposals} and are not trained on'
        )
    compare_sizes(store, images.root)  # the training says what it returns
    warn_of_depth(images.root, list(store), stretch)
