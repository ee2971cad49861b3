"""Results of the jobs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soco_mm.detectors.fit import REPORT, WEIGHTS, exported_config
from soco_mm.engine.retrieval import RETRIEVAL, describe_retrieval, read_retrieval
from soco_mm.visualization.results import render_result

PREVIEW = 'preview.png'


class Shown:
    """A result that notebooks show as pictures and a table."""

    TITLE: str

    def _shown_values(self) -> dict[str, object]:
        """Values of the table, by name."""
        return vars(self)

    def _shown_pictures(self) -> Sequence[Path]:
        return ()

    def _repr_html_(self) -> str:
        return render_result(self.TITLE, self._shown_values(), self._shown_pictures())


@dataclass(frozen=True)
class PretrainResult(Shown):
    """Files that a pretraining has written.

    Attributes:
        proposals (Path): The store of proposals.
        preview (Path): A picture of what training sees.
        checkpoint (Path): The last checkpoint.
        weights (Path): The weights in it that a detector can use.
        detector (Path): The MMDetection config that loads the weights.
        report (Path): Which tensors of the detector are filled.
        scalars (Path): Losses and times, one JSON line each.
        retrieval (Path): How well objects are told apart before and after;
            only of models and data sets of this plugin.
    """

    TITLE = 'Proposals and views of the training, and what was made'

    proposals: Path
    preview: Path
    checkpoint: Path
    weights: Path
    detector: Path
    report: Path
    scalars: Path
    retrieval: Path

    @classmethod
    def of(cls, out: Path, proposals: Path, checkpoint: Path) -> 'PretrainResult':
        """The files of the run in ``out``, with its store and last checkpoint."""
        exported = out / 'exported'
        return cls(
            proposals=proposals,
            preview=out / PREVIEW,
            checkpoint=checkpoint,
            weights=exported / WEIGHTS,
            detector=exported / exported_config(exported),
            report=exported / REPORT,
            scalars=out / 'vis_data' / 'scalars.json',
            retrieval=out / RETRIEVAL,
        )

    def _shown_values(self) -> dict[str, object]:
        """The paths, and whether the training helped."""
        lines = describe_retrieval(read_retrieval(self.retrieval.parent))
        return {**vars(self), **dict(line.split(': ', 1) for line in lines)}

    def _shown_pictures(self) -> Sequence[Path]:
        return [self.preview]


@dataclass(frozen=True)
class FinetuneResult(Shown):
    """Files that a fine-tuning has written.

    Attributes:
        checkpoint (Path): The checkpoint of the best epoch.
        config (Path): The config of the detector.
        metrics (Path): The COCO metrics of that epoch, as JSON.
        picture (Path): Annotated and predicted objects of some images.
        scalars (Path): Losses, metrics and times, one JSON line each.
    """

    TITLE = 'Annotated and predicted objects, and what was made'

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

    def _shown_values(self) -> dict[str, object]:
        """The paths, and the mean average precisions."""
        metrics = json.loads(self.metrics.read_text(encoding='utf-8'))
        found = {name: value for name, value in metrics.items() if name.endswith('mAP')}
        return {**vars(self), **found}

    def _shown_pictures(self) -> Sequence[Path]:
        return [self.picture]


@dataclass(frozen=True)
class BrowseResult(Shown):
    """What training sees.

    Attributes:
        page (Path): The HTML page with all pictures.
        pictures (list[Path]): A PNG file per image.
    """

    TITLE = 'What training sees'

    page: Path
    pictures: list[Path]

    def _shown_values(self) -> dict[str, object]:
        """The page and the folder of the pictures."""
        return dict(page=self.page, pictures=len(self.pictures))

    def _shown_pictures(self) -> Sequence[Path]:
        return self.pictures[:4]
