"""What the RPN of a pretraining finds."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.config import Config

from soco_mm.models import SoCo
from soco_mm.models.utils.batch_statistics import batch_statistics
from soco_mm.models.utils.rpn import best_proposals
from soco_mm.proposals import ProposalStore
from soco_mm.proposals.recall import overlaps

from .object_metrics import kept_random_state, make_proposal_samples, split_evenly

NUMBER = 100  # boxes of an image
OVERLAP = 0.5


def measure_rpn(
    model: SoCo, cfg: Config, annotated: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """Recall at 100 boxes of an image, of proposals and of annotated objects.

    Args:
        model (SoCo): The model, with an ``rpn_head``.
        cfg (Config): The config of its training.
        annotated (Sequence[dict]): What :func:`make_annotated_samples`
            returns. Defaults to none.

    Returns:
        dict: ``number``, how many boxes count; ``proposals``, the share of the
        store's proposals that they find with an IoU of 0.5 or more; and where
        there are annotated objects ``objects``, the share of them, and
        ``search``, the share that as many proposals of the store find.
    """
    samples = make_proposal_samples(cfg)
    found = dict(number=NUMBER, proposals=rpn_recall(model, samples))
    if len(annotated):
        found.update(
            objects=rpn_recall(model, annotated), search=search_recall(cfg, annotated)
        )
    return found


def rpn_recall(model: SoCo, samples: Sequence[dict[str, Any]]) -> float:
    """Share of the boxes of samples that the best boxes of the RPN find."""
    hits: list[np.ndarray] = []
    for _, batch in split_evenly(samples):
        with kept_random_state(), torch.no_grad(), batch_statistics(model):
            (view,) = model.data_preprocessor(batch, False)['views']
            feats = model.extract_feat([view])
            found = best_proposals(
                model.rpn_head, feats, tuple(view.shape[-2:]), NUMBER
            )
        for boxes, valid, best in zip(batch['boxes'][0], batch['valid'][0], found):
            hits.append(covered(boxes[valid].numpy(), best.float().cpu().numpy()))
    return float(np.concatenate(hits).mean()) if hits else float('nan')


def search_recall(cfg: Config, samples: Sequence[dict[str, Any]]) -> float:
    """Share of the boxes of samples that the store's proposals find.

    Where there are more than 100 of an image, which have no order, every so
    many-th of them counts.
    """
    store = ProposalStore.open(cfg.train_dataloader.dataset.proposals)
    hits = []
    for sample in samples:
        boxes = sample['boxes'][0][sample['valid'][0]].numpy()
        height, width = sample['views'][0].shape[:2]
        scale = np.array([width, height]) / store.size(sample['index'])
        proposals = store.boxes(sample['index']) * np.tile(scale, 2)
        chosen = np.linspace(0, len(proposals) - 1, min(NUMBER, len(proposals)))
        hits.append(covered(boxes, proposals[chosen.astype(int)]))
    return float(np.concatenate(hits).mean())


def covered(boxes: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Which boxes, (G, 4), overlap with one of those found, (P, 4)."""
    return (overlaps(boxes, found) >= OVERLAP).any(1)
