"""What the jobs have made."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PretrainResult:
    """What a pretraining has made.

    Attributes:
        proposals (Path): The store of proposals.
        preview (Path): A picture of what training sees.
        checkpoint (Path): The checkpoint of the last epoch.
        weights (Path): What a detector can use of it.
        detector (Path): The MMDetection config that loads the weights.
        report (Path): Which tensors of the detector are filled.
        scalars (Path): Losses and times, one JSON line each.
    """

    proposals: Path
    preview: Path
    checkpoint: Path
    weights: Path
    detector: Path
    report: Path
    scalars: Path


@dataclass(frozen=True)
class FinetuneResult:
    """What a fine-tuning has made.

    Attributes:
        checkpoint (Path): The checkpoint of the best epoch.
        config (Path): The config of the detector.
        metrics (Path): The COCO metrics of that epoch, as JSON.
        picture (Path): Annotated and predicted objects of some images.
        scalars (Path): Losses, metrics and times, one JSON line each.
    """

    checkpoint: Path
    config: Path
    metrics: Path
    picture: Path
    scalars: Path

    @classmethod
    def of(cls, out: Path, config: str) -> 'FinetuneResult':
        """The files of a run.

        Args:
            out (Path): Its folder.
            config (str): Name of the config.
        """
        return cls(
            checkpoint=out / 'best.pth',
            config=out / config,
            metrics=out / 'metrics.json',
            picture=out / 'predictions.png',
            scalars=out / 'vis_data' / 'scalars.json',
        )


@dataclass(frozen=True)
class ReportResult:
    """A report on proposals.

    Attributes:
        report (str): The HTML page.
        summary (ProposalSummary): Figures of the store.
        advice (list[str]): Sentences on what to change.
        recall (dict, optional): Without annotations None; else figures of the
            ``proposals`` and of ``random`` boxes, see
            :func:`soco_mm.proposals.recall.measure_recall`.
        pictures (int): Number of pictures.
        note (str): Why there are none.
    """

    report: str
    summary: object
    advice: list[str]
    recall: dict | None
    pictures: int
    note: str
