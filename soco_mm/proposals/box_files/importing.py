"""Other people's boxes as a store of proposals."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from soco_mm.coco.boxes import are_corners
from soco_mm.log import logger
from soco_mm.proposals import PRESETS, ProposalFilter, Proposals, ProposalStore
from soco_mm.proposals.box_files import (
    BoxFile,
    clip_boxes,
    count_corners,
    count_fractions,
    match_images,
    read_box_file,
    to_corners,
)
from soco_mm.proposals.box_files.matching import BY_STEM
from soco_mm.proposals.filters import STATUS
from soco_mm.proposals.layout import unusable
from soco_mm.proposals.make import as_json, claim_store
from soco_mm.proposals.presets import made_with
from soco_mm.proposals.summary import ProposalSummary, summarize
from soco_mm.utils import (
    ImageError,
    SoCoError,
    UsageError,
    exclusive,
    list_images,
    read_sizes,
)
from soco_mm.utils.progress import ImageProgress
from soco_mm.utils.texts import printable

BOX_FILES = dict(
    released='the JSON of the released code',
    coco='a COCO json',
    coco_results='COCO results',
    masks='the masks of Segment Anything',
)
EXAMPLES = 3
FEW = 4  # boxes, which do not tell corners from sizes
MANY_CLIPPED = 0.1  # share of the boxes that rounding hardly explains


@dataclass(kw_only=True)
class ImportSummary(ProposalSummary):
    """Figures of a store of boxes that were imported from a file.

    Attributes:
        source (str): The file.
        folder (str): The folder of the images.
        format (str): One of ``BOX_FILES``.
        clipped (int): Number of boxes that reached out of their image.
        left_out_boxes (dict[str, int]): Number of boxes left out, by reason.
        without_boxes (int): Number of images that got the whole image.
        by_tail (int): Number of images found only by the end of their name.
        first_by_tail (list[str]): Some of them.
        unmatched (int): Number of names in the file that fit no image.
        first_unmatched (list[str]): Some of them.
        unnamed (int): Number of images that the file does not name.
        first_unnamed (list[str]): Some of them.
    """

    source: str
    folder: str
    format: str
    clipped: int
    left_out_boxes: dict[str, int]
    without_boxes: int
    by_tail: int
    first_by_tail: list[str]
    unmatched: int
    first_unmatched: list[str]
    unnamed: int
    first_unnamed: list[str]

    def describe(self) -> str:
        """The figures as text."""
        source, folder = map(printable, (self.source, self.folder))
        lines = [
            super().describe(),
            f'  imported from {source}, {BOX_FILES[self.format]}',
        ]
        if self.left_out_boxes:
            lines.append(
                '  boxes left out: '
                + ', '.join(
                    f'{number} {reason}'
                    for reason, number in self.left_out_boxes.items()
                )
            )
        if self.clipped:
            hint = ''
            if self.clipped > MANY_CLIPPED * self.boxes:
                hint = '; were they made on images of another size?'
            lines.append(
                f'  {self.clipped} boxes reached out of their '
                f'images and were clipped{hint}'
            )
        if self.without_boxes:
            lines.append(
                f'  {self.without_boxes} images have no box of '
                'their own and got the whole image'
            )
        for key, words in (
            ('by_tail', 'images are found only by the end of their name'),
            ('unmatched', f'names in it have no image in {folder}'),
            ('unnamed', f'images in {folder} are not in it'),
        ):
            if number := getattr(self, key):
                examples = ', '.join(map(printable, getattr(self, f'first_{key}')))
                lines.append(f'  {number} {words}, for example {examples}')
        return '\n'.join(lines)


def import_proposals(
    source: str | Path,
    out: str | Path,
    *,
    images: str | Path,
    annotations: str | Path | None = None,
    score_thr: float | None = None,
    filter_cfg: dict | None = PRESETS['paper']['filter'],
    overwrite: bool = False,
) -> ImportSummary:
    """Make a store of boxes that are in a file.

    Boxes are clipped to their images; those without area and repeated ones
    are left out. An image left without any gets the whole image. Images that
    are missing, unreadable, or of another size than the file says are left
    out and listed, with the reason, in ``failures.jsonl`` in the store.

    Args:
        source (str | Path): The JSON of the authors' released code, whose
            keys are file names without folder and suffix; a COCO json; COCO
            results; the masks of Segment Anything on an image; or a folder of
            such files.
        out (str | Path): The store to write, a folder.
        images (str | Path): The folder of the images, nested to any depth.
            COCO's ``file_name`` are relative to it.
        annotations (str | Path, optional): For COCO results, the COCO json
            with their images. Defaults to None.
        score_thr (float, optional): The lowest score of a box that is kept.
            Defaults to None, all.
        filter_cfg (dict, optional): Arguments of :class:`ProposalFilter`,
            None to keep every box. Defaults to the paper's.
        overwrite (bool): Replace an existing store. Defaults to False.

    Returns:
        ImportSummary: The figures of the store, and what was left out.

    Raises:
        UsageError: If the file has another layout, does not fit the images,
            or ``out`` cannot be written or holds something else.
        SoCoError: If none of the images can be used, or boxes are not in pixels.
    """
    out = claim_store(out, replace=overwrite)
    root = os.path.abspath(images)
    listing = list_images(root, [out])
    listed = listing.paths
    for note in listing.describe():
        logger.info(printable(note))
    found = read_box_file(source, annotations, score_thr)
    paths, unmatched = match_images(found, source, root, listed)

    keep = ProposalFilter.keep_all
    if filter_cfg is not None:
        keep = ProposalFilter(**filter_cfg)
    header = as_json(
        dict(
            generator=dict(type='Imported', format=found.format, score_thr=score_thr),
            filter=filter_cfg,
            root=root,
            made_with=made_with(),
        )
    )
    counts: Counter[str] = Counter()
    with exclusive(out, 'proposals'):
        claim_store(out, replace=overwrite)  # another process may have made it
        ProposalStore.write(
            out, header, _convert(found, source, root, paths, keep, counts)
        )
    unnamed = [path for path in listed if path not in paths]
    by_tail = [
        f'{name} is {path}'
        for path, name in paths.items()
        if found.format not in BY_STEM
        and path not in (name, os.path.relpath(name, root))
    ]
    clipped, without = (counts.pop(key, 0) for key in ('clipped', 'without'))
    return ImportSummary(
        **vars(summarize(ProposalStore.open(out))),
        source=str(source),
        folder=root,
        format=found.format,
        clipped=clipped,
        left_out_boxes=dict(+(found.left_out + counts)),
        without_boxes=without,
        by_tail=len(by_tail),
        first_by_tail=by_tail[:EXAMPLES],
        unmatched=len(unmatched),
        first_unmatched=unmatched[:EXAMPLES],
        unnamed=len(unnamed),
        first_unnamed=unnamed[:EXAMPLES],
    )


def _convert(
    found: BoxFile,
    source: str | Path,
    root: str,
    paths: dict[str, str],
    keep: Callable,
    counts: Counter,
) -> Iterator[Proposals]:
    """The results of all images; ``counts`` is filled on the way."""
    failure, usable = None, False
    given = normalised = corners = outside = 0
    with ImageProgress('Import', len(paths)) as progress:
        for size, (path, name) in zip(read_sizes(root, paths), paths.items()):
            try:
                boxes = to_corners(found.boxes[name])
            except ValueError as error:
                raise UsageError(f'In {source}, image {name}: {error}.') from None
            known = found.sizes.get(name)
            if known and not isinstance(size, ImageError) and size != known:
                size = ImageError(
                    f'is {size[0]}x{size[1]} pixels large, but its boxes are '
                    f'for {known[0]}x{known[1]}'
                )
            progress.advance(isinstance(size, ImageError))
            if isinstance(size, ImageError):
                failure = failure or f'{path}, {size}'
                counts['of images that cannot be used'] += len(boxes)
                yield unusable(path, str(size))
                continue
            usable = True
            given += len(boxes)
            normalised += count_fractions(boxes)
            can_be, reach_out = count_corners(boxes, *size)
            corners, outside = corners + can_be, outside + reach_out
            boxes = clip_boxes(boxes, *size, counts)
            kept, status = keep(boxes, *size)
            own = len(kept) * (STATUS[status] != 'whole_image')
            counts['without'] += not own
            counts['filtered out'] += len(boxes) - own
            yield Proposals(path, kept, size, status)
    if normalised > given / 2:  # single ones are boxes in a corner of an image
        raise SoCoError(
            f'{normalised} of {given} boxes in {source} look normalised: all their '
            'numbers are from 0 to 1. Give x, y, width and height in pixels.'
        )
    if given > FEW and are_corners(given, corners, outside):
        raise SoCoError(
            f'{corners} of {given} boxes in {source} look like two corners x1, y1, x2, '
            f'y2, and {outside} reach out of their image as x, y, width and height. '
            'Give x, y, width and height in pixels.'
        )
    if not usable:
        raise SoCoError(
            f'None of the {len(paths)} images in {root} that '
            f'{source} names can be used; the first, {failure}.'
        )
