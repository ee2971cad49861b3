from dataclasses import dataclass
from pathlib import Path

from soco_mm.apis.results import Shown
from soco_mm.proposals import ProposalStore
from soco_mm.proposals.recall import (
    best_overlaps,
    measure_recall,
    read_ground_truth,
    recall_by_class,
)
from soco_mm.proposals.statistics import (
    advise,
    header_parameters,
    shape_histograms,
    store_histograms,
)
from soco_mm.proposals.summary import ProposalSummary, summarize
from soco_mm.utils import UsageError, atomic_write
from soco_mm.utils.claim import claim
from soco_mm.visualization.pages import is_page
from soco_mm.visualization.proposal_galleries import draw_galleries
from soco_mm.visualization.proposal_report import render_report


@dataclass(frozen=True)
class ReportResult(Shown):
    """A report on proposals.

    Attributes:
        report (str): The HTML page.
        summary (ProposalSummary): Figures of the store.
        advice (list[str]): Sentences on what to change.
        recall (dict, optional): Figures of the ``proposals`` and of ``random``
            boxes, see :func:`soco_mm.proposals.recall.measure_recall`, and of
            ``classes``; None without annotations.
        pictures (int): Number of pictures.
        note (str): Why there are none.
    """

    TITLE = 'Report on proposals'

    report: str
    summary: ProposalSummary
    advice: list[str]
    recall: dict | None
    pictures: int
    note: str

    def _shown_values(self) -> dict[str, object]:
        """The page, the recall of annotated objects, and the advice."""
        values: dict[str, object] = dict(
            report=self.report, images=self.summary.images, boxes=self.summary.boxes
        )
        if self.recall:
            for name in ('proposals', 'random'):
                share = self.recall[name]['all']['recall_50']
                text = None if share is None else f'{share:.3f}'  # no objects
                values[f'recall of {name} at IoU 0.5'] = text
        for number, advice in enumerate(self.advice, 1):
            values[f'advice {number}'] = advice
        return values


def report_proposals(
    store: str | Path,
    out: str | Path | None = None,
    *,
    images: str | Path | None = None,
    annotations: str | Path | None = None,
) -> ReportResult:
    """Write an HTML page to judge proposals by.

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
            ``out`` is no such page or cannot be written.
        SoCoError: If the store is missing or damaged.
    """
    opened = ProposalStore.open(Path(store).resolve())
    folder = opened.folder
    if not len(opened):
        raise UsageError(f'{folder} has no images to report on.')
    page = claim(
        folder.with_name(folder.name + '.report.html') if out is None else out,
        'the report',
        Path.is_file if out is None else is_page,
        suffix='.html',
    )
    header, summary = opened.header, summarize(opened)
    recall = None
    objects: tuple = ()
    if annotations is not None:
        found = read_ground_truth(annotations, opened)
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
            classes=recall_by_class(found, ours, random),
        )
    advice = advise(summary, header, *objects)
    galleries, note = draw_galleries(opened, images or header.get('root'))
    atomic_write(
        page,
        render_report(
            summary,
            header_parameters(header),
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
