import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from soco_mm.proposals.store import ProposalStore
from soco_mm.utils import atomic_stream

DESCRIPTION = 'Object proposals of soco_mm'


def write_coco(path: Path, store: ProposalStore) -> None:
    """Write a COCO json of a store, image by image.

    The file appears whole or not at all. Numbers have all digits, so that
    x + w and y + h are x2 and y2 to the last bit in float32. A file name that
    is not UTF-8 has the escapes with which Python names such bytes.

    Args:
        path (Path): The file; an existing one is replaced.
        store (ProposalStore): The store.

    Raises:
        OSError: If it cannot be written; nothing stays behind.
    """
    with atomic_stream(path) as stream:
        stream.writelines(_write_parts(store))


def _write_parts(store: ProposalStore) -> Iterator[str]:
    """The text, in pieces that do not grow with the store."""
    made = {
        key: store.header[key]
        for key in ('generator', 'filter', 'made_with')
        if key in store.header
    }
    # The description comes first: an earlier export is recognised by it.
    info = json.dumps(dict(description=DESCRIPTION, **made))
    yield f'{{"info": {info},\n'
    yield '"categories": [{"id": 1, "name": "object"}],\n"images": [\n'
    yield from _separate(_images(store))
    yield '\n],\n"annotations": [\n'
    yield from _separate(_annotations(store))
    yield '\n]}\n'


def _separate(entries: Iterable[dict]) -> Iterator[str]:
    """The elements of a list, one per line."""
    separator = ''
    for entry in entries:
        yield separator + json.dumps(entry)
        separator = ',\n'


def _images(store: ProposalStore) -> Iterator[dict]:
    for index, path in enumerate(store):
        width, height = store.size(index)
        yield dict(id=index + 1, file_name=path, width=width, height=height)


def _annotations(store: ProposalStore) -> Iterator[dict]:
    number = 0
    for index in range(len(store)):
        for x1, y1, x2, y2 in store.boxes(index).tolist():
            number += 1
            width, height = x2 - x1, y2 - y1  # in float64
            yield dict(
                id=number,
                image_id=index + 1,
                category_id=1,
                bbox=[x1, y1, width, height],
                area=width * height,
                iscrowd=0,
            )
