from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soco_mm.proposals import ProposalStore
from soco_mm.proposals.recall import best_overlaps, measure_recall, read_objects
from soco_mm.proposals.statistics import (
    advise,
    generator_parameters,
    shape_histograms,
    store_histograms,
)
from soco_mm.utils import (
    ImageError,
    UsageError,
    atomic_write,
    make_writable,
    read_image,
)
from soco_mm.visualization.proposal_report import Picture, draw_picture, render_report

from .proposals import summarize

FEWEST = 8
SHEET = 24


def report_proposals(
    store: str | Path,
    out: str | Path | None = None,
    images: str | Path | None = None,
    annotations: str | Path | None = None,
) -> dict:
    """Write a page by which a person can judge proposals.

    Args:
        store (str | Path): The store of proposals.
        out (str | Path, optional): The HTML file. Defaults to None,
            ``STORE.report.html`` beside the store.
        images (str | Path, optional): The folder of the images, for pictures.
            Defaults to None, the one that the proposals were made of.
        annotations (str | Path, optional): COCO, YOLO or Pascal VOC
            annotations of objects on these images, or on some of them, to
            measure how many are found. Defaults to None.

    Returns:
        dict: ``report`` (the file), ``summary`` (see
        :func:`soco_mm.apis.proposals.summarize`), ``advice`` (sentences),
        ``recall`` (None without annotations; else figures of the
        ``proposals`` and of ``random`` boxes, see
        :func:`soco_mm.proposals.recall.measure_recall`), ``pictures`` (their
        number) and ``note`` (why there are none).

    Raises:
        UsageError: If the store is empty, ``annotations`` do not fit it, or
            ``out`` cannot be written.
        SoCoError: If the store is missing or damaged.
    """
    store = ProposalStore.open(Path(store).resolve())
    if not len(store):
        raise UsageError(f'{store.folder} has no images to report on.')
    if out is None:
        out = store.folder.with_name(store.folder.name + '.report.html')
    out = Path(out)
    if out.is_dir():
        raise UsageError(f'{out} is a folder. Name a file for the page.')
    if out.suffix != '.html':
        raise UsageError(f'{out} does not end in .html. Name a file for the page.')
    make_writable(out.parent)
    header, summary = store.header, summarize(store)
    recall, objects = None, ()
    if annotations is not None:
        found = read_objects(annotations, store)
        objects = found.boxes, store.arrays['sizes'][found.images]
        ours, random = best_overlaps(store, found)
        recall = dict(
            proposals=measure_recall(found.areas, ours),
            random=measure_recall(found.areas, random),
            annotations=str(annotations),
            images=found.num_images,
            absent=found.absent,
            other_size=found.other_size,
            account=found.account.lines(),
        )
    advice = advise(summary, header, *objects)
    galleries, note = _draw_galleries(store, images or header.get('root'))
    atomic_write(
        out,
        render_report(
            summary,
            _parameters(header),
            store_histograms(store),
            advice,
            recall and dict(recall, **shape_histograms(*objects)),
            galleries,
            note,
        ),
    )
    return dict(
        report=str(out),
        summary=summary,
        advice=advice,
        recall=recall,
        pictures=sum(
            bool(picture.jpeg)
            for pictures in galleries.values()
            for picture in pictures
        ),
        note=note,
    )


def _parameters(header: dict) -> dict:
    """The parameters in a header, under their headings."""
    generator = header['generator']
    other = {
        key: header[key]
        for key in ('max_boxes', 'seed', 'max_pixels', 'timeout', 'stretch')
        if key in header
    }
    return dict(
        generator=dict(type=generator['type'], **generator_parameters(generator)),
        filter=header.get('filter') or {},
        other=dict(
            other,
            images=header.get('root'),
            **{
                f'made with {name}': version
                for name, version in header.get('made_with', {}).items()
            },
        ),
    )


def _draw_galleries(store: ProposalStore, folder) -> tuple:
    """Pictures by heading, and why there are none."""
    if folder is None:
        return {}, 'The store does not say where the images are.'
    if not Path(folder).is_dir():
        return {}, (
            f'There is no folder {folder} here, so no image is shown. '
            'Name the folder of the images with --images.'
        )
    numbers = np.diff(store.arrays['offsets'])
    fewest = np.argsort(numbers, kind='stable')[:FEWEST]
    picked = np.linspace(0, len(store) - 1, min(SHEET, len(store)))
    return {
        'Fewest boxes': _draw(store, folder, fewest),
        'Contact sheet': _draw(store, folder, picked.round().astype(int)),
    }, ''


def _draw(
    store: ProposalStore, folder: str | Path, indices: Sequence[int]
) -> list[Picture]:
    pictures, stretch = [], store.header.get('stretch')
    for index in indices:
        path, boxes = store.path(index), store.boxes(index)
        try:
            image = read_image(Path(folder) / path, stretch)
            size, known = image.shape[1::-1], store.size(index)
            if size != known:
                raise ImageError(
                    f'has changed: it is {size[0]}x{size[1]} pixels large, '
                    f'but was {known[0]}x{known[1]}'
                )
            pictures.append(Picture(path, len(boxes), draw_picture(image, boxes)))
        except ImageError as error:
            pictures.append(Picture(path, len(boxes), b'', f'The image {error}.'))
    return pictures
