"""A store of proposals of a set of images."""

import filecmp
import json
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soco_mm.log import logger
from soco_mm.utils import SoCoError, UsageError, exclusive, is_older
from soco_mm.utils.claim import claim
from soco_mm.utils.cores import usable_cores
from soco_mm.utils.progress import ImageProgress
from soco_mm.utils.sizes import sample_indices
from soco_mm.utils.texts import printable

from .generate import generate_proposals
from .journal import Journal, describe_difference
from .layout import FOUND, INFORMATIVE
from .listing import ImageSet, ImageSource, list_input
from .presets import build_settings, made_with
from .shards import hash_listing, merge_shards, merged_results, open_shards, take_shard
from .store import MARKER, ProposalStore
from .summary import ProposalSummary, summarize, warn_of_depth
from .worker import Worker

UNFINISHED = '.unfinished'
# If the first images, this many, all fail, the generator cannot work.
TRIED = 20
ADVICE = 'Choose another place, or replace it with --overwrite.'
COMPARED = 16  # images, to see whether a folder is the same
# Settings that say which images fail, and nothing of the boxes of others.
LIMITS = ('timeout', 'max_pixels')
LOOKED_AT = 10_000  # images, to see whether they were changed


def make_proposals(
    images: ImageSource | ImageSet,
    out: str | Path,
    *,
    settings: dict | None = None,
    root: str | Path | None = None,
    num_workers: int | None = None,
    shard: tuple[int, int] | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
) -> ProposalSummary:
    """Make the object proposals of a set of images.

    Results are kept in ``OUT.unfinished`` as they come, so that a run that
    was killed continues where it was; the store appears at the end. An
    existing store with the same settings is completed with the images that
    are not in it. Images that cannot be used are left out and listed, with
    the reason, in ``failures.jsonl`` in the store.

    Args:
        images (str | Path | Sequence | ImageSet): A folder or several, a
            text file or a COCO json, see
            :func:`soco_mm.proposals.listing.list_input`, which says what is
            left out; or what it returned, of which no more is said.
        out (str | Path): The store to write, a folder.
        settings (dict, optional): What :func:`build_settings` returns.
            Defaults to None, the preset ``paper``.
        root (str | Path, optional): What the paths in a file are relative to.
            Defaults to None, the folder of the file.
        num_workers (int, optional): Number of processes. Defaults to None,
            one per core.
        shard (tuple, optional): i and n, to make the i-th of n parts, from 1.
            Defaults to None, all.
        overwrite (bool): Make all again and replace an existing store.
            Defaults to False.
        retry_failed (bool): Try again the images that failed before. Defaults
            to False.

    Returns:
        ProposalSummary: The figures of the store.

    Raises:
        UsageError: If there are no images, or ``out`` cannot be written or
            holds something else.
        SoCoError: If none of the images can be used, or the generator fails
            on all of them.
    """
    settings = settings or build_settings()
    if isinstance(images, ImageSet):
        listed = images
    else:
        listed = list_input(images, root, [Path(out).resolve()])
        for note in listed.notes:
            logger.info(printable(note))
    _check_generator(settings)
    out = claim_store(out)
    header = as_json(
        dict(
            settings,
            root=listed.root,
            made_with=made_with(),
            shard=shard and dict(index=shard[0], count=shard[1]),
        )
    )
    paths = take_shard(listed.paths, *shard) if shard else listed.paths
    task = _StoreTask(listed.root, paths, settings, num_workers, shard, retry_failed)
    with exclusive(out, 'proposals'):
        return _complete(out, task, header, hash_listing(listed.paths), overwrite)


@dataclass(frozen=True)
class _StoreTask:
    """What is to be made, see :func:`make_proposals`."""

    root: str
    paths: Sequence[str]
    settings: dict
    num_workers: int | None
    shard: tuple[int, int] | None
    retry_failed: bool


def _complete(
    out: Path, task: _StoreTask, header: dict, listing: str, overwrite: bool
) -> ProposalSummary:
    """Write the store, including what exists or was made before a kill."""
    made_by = {key: value for key, value in header.items() if key not in INFORMATIVE}
    unfinished = out.with_name(out.name + UNFINISHED)
    with closing(Journal(unfinished, made_by, overwrite, task.root)) as journal:
        check_same_images(unfinished, journal.root, task.root, journal.paths())
        if replaced := set(journal.drop_older(task.root)):
            logger.info(
                f'{len(replaced)} images are newer than their boxes in {unfinished}, '
                'which are made again.'
            )
        # A continued run, too, may be one that makes all again.
        earlier = None
        if not journal.replaces:
            earlier = _earlier(out, header, task.paths, task.retry_failed)
        if earlier:
            check_same_images(out, earlier.header.get('root'), task.root, list(earlier))
            _note_newer(earlier, task.root, task.paths)
        if (
            earlier
            and earlier.header['listing'] == listing
            and not (task.retry_failed and len(earlier.failures()))
            and not len(journal)  # what --retry-failed has made until a kill
            and all(earlier.header.get(key) == header[key] for key in LIMITS)
        ):
            journal.delete()
            return summarize(earlier, kept=len(task.paths))
        for result in earlier.results() if earlier else ():
            if result.path not in journal and result.path not in replaced:
                journal.append(result)
        kept = _generate(journal, task)
        seconds = list(journal.seconds.values())
        header = dict(header, listing=listing)
        if header['filter'] is not None:
            header['found'] = (
                earlier.header.get('found') if earlier else dict.fromkeys(FOUND, 0)
            )
        # What the earlier store has found counts already.
        failed = {each['image'] for each in earlier.failures()} if earlier else set()
        results = (
            journal[path]._replace(found=None)
            if earlier and path in earlier and path not in failed
            else journal[path]
            for path in task.paths
        )
        ProposalStore.write(out, header, results)
        journal.delete()
    return summarize(
        ProposalStore.open(out),
        kept=kept,
        seconds=float(np.mean(seconds)) if seconds else None,
    )


def _note_newer(store: ProposalStore, root: str, paths: Sequence[str]) -> None:
    """Say how many of some images were changed after their boxes were made."""
    made = store.folder / MARKER
    looked_at = [paths[index] for index in sample_indices(len(paths), LOOKED_AT)]
    newer = [
        path
        for path in looked_at
        if path in store and os.path.isfile(source := os.path.join(root, path))
        if is_older(made, Path(source))
    ]
    if newer:
        logger.info(
            f'{len(newer)} of {len(looked_at)} images are newer than their boxes in '
            f'{store.folder}, for example {printable(newer[0])}. If they are '
            'other pictures than before, --overwrite makes all boxes again.'
        )


def _generate(journal: Journal, task: _StoreTask) -> int:
    """Make what is not in the journal; returns how many were in it."""
    paths, shard = task.paths, task.shard
    todo = [
        path
        for path in paths
        if path not in journal or (task.retry_failed and path in journal.failed)
    ]
    kept = len(paths) - len(todo)
    if todo and (not shard or shard[0] == 1):
        limit = task.settings.get('max_pixels')
        warn_of_depth(task.root, paths, task.settings.get('stretch'), max_pixels=limit)
    part = f' [{shard[0]}/{shard[1]}]' if shard else ''
    workers = task.num_workers or usable_cores()
    failed_before = len(journal.failed)
    first, done = None, 0
    try:
        with ImageProgress(
            f'Proposals{part}', len(paths), kept, failed_before, plain=bool(shard)
        ) as progress:
            for result in generate_proposals(task.root, todo, task.settings, workers):
                journal.append(result)
                progress.advance(result.failure is not None)
                done += 1
                first = first or result
                if (
                    done == TRIED
                    and len(journal) == len(journal.failed)
                    and len(first.boxes)
                ):
                    break
    except KeyboardInterrupt:
        logger.info(
            f'\n{kept + done} of {len(paths)} images are done and kept; '
            'the same command continues.'
        )
        raise
    if paths and len(journal.failed) == len(journal) and (not shard or done >= TRIED):
        first = first or journal[paths[0]]
        journal.delete()
        if len(first.boxes):
            raise SoCoError(
                f'The generator fails on all images: on {first.path}, {first.failure}.'
            )
        raise SoCoError(
            f'None of the {len(paths)} images in {task.root} can be used; '
            f'the first, {first.path}, {first.failure}.'
        )
    return kept


def claim_store(out: str | Path, replace: bool = True) -> Path:
    """Take a folder for a store, see :func:`soco_mm.utils.claim.claim`."""
    return claim(
        Path(out).resolve(),
        'a proposal store',
        MARKER,
        replace=replace,
        advice=ADVICE,
    )


def as_json(settings: dict) -> dict:
    """Settings as they come back from JSON."""
    return json.loads(json.dumps(settings))


def _check_generator(settings: dict) -> None:
    """Build the generator once, before anything is written."""
    try:
        Worker(settings, '')
    except (KeyError, ImportError, AttributeError, TypeError) as error:
        kind = settings['generator']['type']
        module, _, name = str(kind).rpartition('.')
        if module and isinstance(error, KeyError):
            raise UsageError(
                f'There is no class {name} in a module {module} that Python finds. Put '
                'its folder on the path, as in PYTHONPATH=. soco-mm proposals ...'
            ) from None
        raise UsageError(
            f'The proposal generator {kind} cannot be built ({error}).'
        ) from None


def _earlier(
    out: Path, header: dict, paths: Sequence[str], larger_limits: bool = False
) -> ProposalStore | None:
    """The existing store, if this run may complete it.

    Images that failed may be tried again within larger limits, which change
    nothing for the others.

    Raises:
        UsageError: If it was made with other settings, or holds images that
            this run would drop.
    """
    if not (out / MARKER).is_file():
        return None
    try:
        store = ProposalStore.open(out)
    except SoCoError as error:
        raise UsageError(
            f'{out} holds proposals that cannot be read: {error} {ADVICE}'
        ) from None
    same = [key for key in header if key not in INFORMATIVE]
    old, new = ({key: each.get(key) for key in same} for each in (store.header, header))
    for key in LIMITS:
        if old.get(key) and new[key] > old[key]:
            if not larger_limits:
                raise UsageError(
                    f'{out} was made with {key} {old[key]}, not {new[key]}. Give '
                    '--retry-failed to try the images again that failed.'
                )
            old[key] = new[key]
    difference = describe_difference(old, new)
    if difference:
        raise UsageError(f'{out} was made with other settings ({difference}). {ADVICE}')
    wanted = set(paths)
    gone = [path for path in store if path not in wanted]
    if gone:
        raise UsageError(
            f'{out} holds proposals of {len(gone)} images that are not among '
            f'the {len(paths)} given, for example {printable(gone[0])}. '
            f'{ADVICE}'
        )
    return store


def check_same_images(
    made: Path, before: str | None, now: str, paths: Sequence[str]
) -> None:
    """Refuse proposals of other images of the same names.

    A folder that was moved or copied is the same. Some of the files are compared.

    Args:
        made (Path): The store, or the unfinished run.
        before (str, optional): The folder of the images that it is of.
        now (str): That of the images that are given.
        paths (Sequence[str]): Their images that are done.

    Raises:
        UsageError: If an image differs.
    """
    if before is None or not os.path.isdir(before) or os.path.samefile(before, now):
        return
    for index in sample_indices(len(paths), COMPARED):
        first, second = (Path(root, paths[index]) for root in (before, now))
        both = first.is_file() and second.is_file()
        if both and not filecmp.cmp(first, second, shallow=False):
            raise UsageError(
                f'{made} holds proposals of the images in {before}, which differ from '
                f'those in {now} under the same names: {printable(paths[index])}. '
                f'{ADVICE}'
            )


def merge_proposals(
    shards: Sequence[str | Path], out: str | Path, *, overwrite: bool = False
) -> ProposalSummary:
    """Make one store of the shards of a set of images.

    Args:
        shards (Sequence[str | Path]): The stores of all shards.
        out (str | Path): The store to write; one of the same settings and
            fewer images is replaced.
        overwrite (bool): Replace any existing store. Defaults to False.

    Returns:
        ProposalSummary: The figures of the store.

    Raises:
        UsageError: If they do not belong together, or ``out`` cannot be
            written.
        SoCoError: If one is damaged.
    """
    out = claim_store(out)
    stores, header = open_shards(shards)
    with exclusive(out, 'proposals'):
        if not overwrite:
            same = {
                key: value
                for key, value in header.items()
                if key not in ('listing', 'found')
            }
            paths = [path for store in stores for path in store]
            earlier = _earlier(out, same, paths, larger_limits=True)
            if earlier and _is_merged(earlier, header, stores):
                return summarize(earlier, kept=len(earlier))
        return summarize(merge_shards(stores, header, out))


def _is_merged(
    earlier: ProposalStore, header: dict, stores: Sequence[ProposalStore]
) -> bool:
    """Whether a store is already what its shards make together."""
    # The images of a listing stay the same where those that failed are retried.
    if earlier.header['listing'] != header['listing'] or any(
        earlier.header[key] != sum(store.header[key] for store in stores)
        for key in ('num_images', 'num_boxes', 'num_failures')
    ):
        return False
    # Other images under the same names may have as many boxes.
    return all(
        there._replace(boxes=None) == made._replace(boxes=None)
        and np.array_equal(there.boxes, made.boxes)
        for there, made in zip(earlier.results(), merged_results(stores))
    )
