"""What detectors start from: random weights, ImageNet's, or a pretraining."""

import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from soco_mm.apis.export import export_detector
from soco_mm.checkpoint import read_checkpoint, write_checkpoint
from soco_mm.detectors.fit import WEIGHTS

from .pretrainings import CHECKPOINT, CONFIGS, IMAGENET, Pretraining, pretraining_config

SCRATCH = 'scratch'
FASTER_RCNN, FINE, RETINANET = 'faster-rcnn', 'faster-rcnn_small-anchors', 'retinanet'
# The detectors, of which each has a config, and their names in tables.
DETECTORS = {
    FASTER_RCNN: 'Faster R-CNN',
    FINE: 'Faster R-CNN with anchors of 4 strides',
    RETINANET: 'RetinaNet',
}


class Start(NamedTuple):
    """What a detector starts from.

    Attributes:
        title (str): Its name in tables.
        config (str, optional): The pretraining, a name in ``configs``.
        parts (str, optional): What is handed over; None as the config says.
    """

    title: str
    config: str | None = None
    parts: str | None = None


STARTS = {
    SCRATCH: Start('random weights'),
    IMAGENET: Start('ImageNet'),
    'soco': Start('+ SoCo, as in the paper', 'soco'),
    'short': Start('+ short recipe, backbone trained too', 'short'),
    'short-all': Start('+ short recipe, head handed over too', 'short', 'all'),
    'align': Start('+ short recipe (align only)', 'align'),
    'rpn': Start('+ short recipe, with an RPN', 'rpn'),
    'byol': Start('+ BYOL', 'byol'),
    'simsiam': Start('+ SimSiam', 'simsiam'),
    'mocov2': Start('+ MoCo v2', 'mocov2'),
    'densecl': Start('+ DenseCL', 'densecl'),
}


def detector_config(name: str) -> Path:
    """The config of one of :data:`DETECTORS`."""
    return CONFIGS / f'{name}_mobilenetv2_fpn.py'


def pretraining_of(start: str, data: str, seed: int) -> Pretraining | None:
    """The pretraining that a start needs, if any."""
    config = STARTS[start].config
    return Pretraining(config, data, seed) if config else None


def start_weights(
    work: Path,
    start: str,
    data: str,
    seed: int,
    detector: str,
    backbone_only: bool = False,
) -> Path | None:
    """The weights that a detector starts from, None for random ones.

    What is handed over by a pretraining is written where it is not there yet.
    """
    if start == SCRATCH:
        return None
    if start == IMAGENET:
        return work / IMAGENET / WEIGHTS
    pretraining = pretraining_of(start, data, seed)
    folder = pretraining.folder(work)
    name = f'{start}_{detector}{"_backbone" * backbone_only}'
    weights = folder / name / WEIGHTS
    if not weights.is_file():
        parts = 'backbone' if backbone_only else STARTS[start].parts
        # Two detectors of one start may come here at once.
        with tempfile.TemporaryDirectory(dir=folder) as own:
            made = Path(own) / name / WEIGHTS
            hand_over(pretraining, work, made, detector, parts)
            weights.parent.mkdir(exist_ok=True)
            os.replace(made, weights)
    return weights


def hand_over(
    pretraining: Pretraining,
    work: Path,
    weights: Path,
    detector: str,
    parts: str | None,
) -> None:
    """Write what a detector takes from a pretraining."""
    last = pretraining.folder(work) / CHECKPOINT
    cfg = pretraining_config(pretraining.config)
    if cfg.model.type == 'SoCo':
        export_detector(
            last,
            weights.parent,
            config=cfg,
            detector=detector_config(detector),
            parts=parts,
        )
        return
    state = read_checkpoint(last)['state_dict']
    backbone = {
        name: value.contiguous()
        for name, value in state.items()
        if name.startswith('backbone.')
    }
    weights.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(weights, dict(state_dict=backbone))
