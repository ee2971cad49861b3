from pathlib import Path

from soco_mm.proposals import ProposalStore
from soco_mm.proposals.recall import best_overlaps, measure_recall, read_objects
from soco_mm.proposals.statistics import (
    advise,
    generator_parameters,
    shape_histograms,
    store_histograms,
)
from soco_mm.proposals.summary import summarize
from soco_mm.utils import UsageError, atomic_write
from soco_mm.utils.claim import claim
from soco_mm.visualization.proposal_galleries import draw_galleries
from soco_mm.visualization.proposal_report import render_report

from .results import ReportResult


def report_proposals(
    store: str | Path,
    out: str | Path | None = None,
    *,
    images: str | Path | None = None,
    annotations: str | Path | None = None,
) -> ReportResult:
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
        ReportResult: The page, and what it says.

    Raises:
        UsageError: If the store is empty, ``annotations`` do not fit it, or
            ``out`` cannot be written.
        SoCoError: If the store is missing or damaged.
    """
    opened = ProposalStore.open(Path(store).resolve())
    folder = opened.folder
    if not len(opened):
        raise UsageError(f'{folder} has no images to report on.')
    page = claim(
        folder.with_name(folder.name + '.report.html') if out is None else out,
        'the report',
        Path.is_file,
        suffix='.html',
    )
    header, summary = opened.header, summarize(opened)
    recall, objects = None, ()
    if annotations is not None:
        found = read_objects(annotations, opened)
        objects = found.boxes, opened.arrays['sizes'][found.images]
        ours, random = best_overlaps(opened, found)
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
    galleries, note = draw_galleries(opened, images or header.get('root'))
    atomic_write(
        page,
        render_report(
            vars(summary),
            _parameters(header),
            store_histograms(opened),
            advice,
            recall and dict(recall, **shape_histograms(*objects)),
            galleries,
            note,
        ),
    )
    return ReportResult(
        report=str(page),
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
