"""A store of proposals as a COCO json."""

from dataclasses import dataclass
from pathlib import Path

from soco_mm.proposals import ProposalStore
from soco_mm.proposals.box_files import DESCRIPTION, write_coco
from soco_mm.utils.claim import claim


@dataclass(frozen=True)
class ExportSummary:
    """What was written from a store.

    Attributes:
        out (str): The file.
        images (int): Number of images.
        boxes (int): Number of boxes.
        left_out (int): Number of images of the store that could not be used.
    """

    out: str
    images: int
    boxes: int
    left_out: int


def export_proposals(store: str | Path, out: str | Path) -> ExportSummary:
    """Write a store as a COCO json with the one category ``object``.

    :func:`import_proposals` reads the same boxes, to the last bit, from it.
    Images that could not be used are not in it.

    Args:
        store (str | Path): The store.
        out (str | Path): The file to write.

    Returns:
        ExportSummary: What was written.

    Raises:
        UsageError: If ``out`` cannot be written or holds something else.
        SoCoError: If the store is missing or damaged.
    """
    opened = ProposalStore.open(store)
    out = claim(
        out, 'an export of proposals', _is_export, suffix=Path(out).suffix or '.json'
    )
    write_coco(out, opened)
    failed = {each['image'] for each in opened.failures()}
    return ExportSummary(
        out=str(out),
        images=len(opened),
        boxes=opened.header['num_boxes'],
        left_out=sum(path not in opened for path in failed),
    )


def _is_export(path: Path) -> bool:
    """Whether a file starts as :func:`write_coco` starts it."""
    start = f'{{"info": {{"description": "{DESCRIPTION}"'.encode()
    if not path.is_file():
        return False
    with path.open('rb') as stream:
        return stream.read(len(start)) == start
