"""A store of proposals as a COCO json."""

from pathlib import Path

from soco_mm.proposals import ProposalStore
from soco_mm.proposals.box_files import DESCRIPTION, write_coco
from soco_mm.utils import UsageError, make_writable


def export_proposals(store: str | Path, out: str | Path) -> dict:
    """Write a store as a COCO json with the one category ``object``.

    :func:`import_proposals` reads the same boxes, to the last bit, from it.
    Images that could not be used are not in it.

    Args:
        store (str | Path): The store.
        out (str | Path): The file to write.

    Returns:
        dict: ``out``, ``images``, ``boxes``, and ``left_out``, the number of
        images of the store that could not be used.

    Raises:
        UsageError: If ``out`` cannot be written or holds something else.
        SoCoError: If the store is missing or damaged.
    """
    store, out = ProposalStore.open(store), Path(out)
    if out.exists() and not _is_export(out):
        raise UsageError(
            f'{out} is there already and is not an earlier export. Choose another name.'
        )
    make_writable(out.parent)
    write_coco(out, store)
    failed = {each['image'] for each in store.failures()}
    return dict(
        out=str(out),
        images=len(store),
        boxes=store.header['num_boxes'],
        left_out=sum(path not in store for path in failed),
    )


def _is_export(path: Path) -> bool:
    """Whether a file begins as :func:`write_coco` begins it."""
    start = f'{{"info": {{"description": "{DESCRIPTION}"'.encode()
    if not path.is_file():
        return False
    with path.open('rb') as stream:
        return stream.read(len(start)) == start
