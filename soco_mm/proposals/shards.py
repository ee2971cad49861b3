import hashlib
import heapq
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from soco_mm.utils import SoCoError, UsageError

from .journal import describe_difference
from .layout import FOUND, INFORMATIVE, Proposals, encode_path
from .store import ProposalStore

# What the shards of a set have in common.
_COMMON = (
    'generator',
    'filter',
    'max_boxes',
    'seed',
    'max_pixels',
    'timeout',
    'stretch',
    'made_with',
    'listing',
)


def hash_listing(paths: Sequence[str]) -> str:
    """SHA-256 of the paths of a set of images, sorted."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(encode_path(path) + b'\0')
    return digest.hexdigest()


def take_shard(paths: Sequence[str], index: int, count: int) -> list[str]:
    """The paths of one of several shards.

    Which one an image is in depends only on its path, so that shards can be
    completed after images were added.

    Args:
        paths (Sequence[str]): All paths.
        index (int): Which shard, from 1.
        count (int): How many there are.

    Returns:
        list[str]: Its paths, in the same order.
    """
    return [
        path for path in paths if zlib.crc32(encode_path(path)) % count == index - 1
    ]


def open_shards(shards: Sequence[str | Path]) -> tuple[list[ProposalStore], dict]:
    """Open the shards of a set of images and check that they are complete.

    Args:
        shards (Sequence[str | Path]): The stores of all shards, in any order.

    Returns:
        tuple: The stores, and the header of what they make together.

    Raises:
        SoCoError: If one is damaged.
        UsageError: If a store is not a shard, one is given twice or missing,
            or they were made of other images or with other settings.
    """
    stores = [ProposalStore.open(shard) for shard in shards]
    for store in stores:
        if not store.header.get('shard'):
            raise UsageError(
                f'{store.folder} is not a shard: it was made without --shard.'
            )
    first = stores[0]
    count = first.header['shard']['count']
    places: dict = {}
    for store in stores:
        shard = store.header['shard']
        if shard['count'] != count:
            raise UsageError(
                f'{store.folder} is one of {shard["count"]} shards, but '
                f'{first.folder} one of {count}; give those of one set.'
            )
        if store.header['listing'] != first.header['listing']:
            raise UsageError(
                f'{store.folder} was made of another set of images than '
                f'{first.folder}. Make the shards again from one set.'
            )
        there, wanted = (
            {key: each.header.get(key) for key in _COMMON} for each in (store, first)
        )
        difference = describe_difference(there, wanted)
        if difference:
            raise UsageError(
                f'{store.folder} was made with other settings than '
                f'{first.folder} ({difference}). Make it again.'
            )
        if shard['index'] in places:
            raise UsageError(
                f'{places[shard["index"]]} and {store.folder} are both shard '
                f'{shard["index"]} of {count}; give each once.'
            )
        places[shard['index']] = store.folder
    missing = [str(i) for i in range(1, count + 1) if i not in places]
    if missing:
        raise UsageError(
            f'Of {count} shards, {", ".join(missing)} '
            f'{"is" if len(missing) == 1 else "are"} missing.'
        )
    header = {key: first.header.get(key) for key in _COMMON}
    one = next(store for store in stores if store.header['shard']['index'] == 1)
    informative = {key: one.header[key] for key in INFORMATIVE if key in one.header}
    parts = [store.header.get('found') for store in stores]
    if None not in parts:
        informative['found'] = {
            key: sum(part[key] for part in parts if part) for key in FOUND
        }
    return stores, dict(header, **informative, shard=None)


def merge_shards(
    stores: Sequence[ProposalStore], header: dict, out: str | Path
) -> ProposalStore:
    """Make one store of what :func:`open_shards` returned.

    It holds the same bytes as one made without shards.

    Args:
        stores (Sequence[ProposalStore]): The shards.
        header (dict): The header of all.
        out (str | Path): The store to write.

    Returns:
        ProposalStore: The store.

    Raises:
        SoCoError: If a shard is damaged, or all of them are empty.
    """
    for store in stores:
        store.verify()
    if not sum(map(len, stores)):
        raise SoCoError('The shards hold no image that can be used.')
    ProposalStore.write(out, header, merged_results(stores))
    return ProposalStore.open(out)


def merged_results(stores: Sequence[ProposalStore]) -> Iterator[Proposals]:
    """The results of all shards, sorted by path."""
    return heapq.merge(
        *(store.results() for store in stores),
        key=lambda result: encode_path(result.path),
    )
