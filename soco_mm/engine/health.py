"""Figures of a training that say whether it is healthy, and their file.

``WORK_DIR/health.json`` is written by :class:`TrainingHealthHook` as::

    {
     "version": 1,
     "interval": 50,                 # iterations between two rows
     "rows": [{"iter": 50, ...}],    # figures after so many iterations
     "verdicts": [{"name": "collapse", "iter": 100, "sentence": "..."}]
    }

A figure of a row is a number, null where it is not known, or a dictionary of
numbers by part or level:

=============================  ====================================================
``effective_rank_head``        of the head's features of objects in the first view
``effective_rank_projections``  of their projections
``effective_rank_backbone``    of the backbone's last map (C5), averaged over positions
``objects``                    number of these objects, at most 128: no rank of them
                               is larger than ``objects - 1``
``spread_projections``         see :func:`relative_spread`: 1 is even, 0 is a point
``cosine_positive``            of the projections of an object in two views
``cosine_random``              of those of objects on different images
``loss``, ``loss_over_floor``  of the step; the latter is ``loss - loss_floor``
``movement_weights``           by part: :math:`\\|w - w_0\\| / \\|w_0\\|` of the weights
                               of convolutions and linear layers
``movement_biases``            by part: the same of biases and norms
``masked_share``               of the K proposals an image: without a box in the first
                               view and another one
``boxes_by_level``             by level (P2, ...): share of the boxes of all views
``target_momentum``            momentum of the target network at the next step
``waiting_share``              share of the time that waits for data
``learning_rate``              of the first parameter group
``skipped_share``              steps that the gradient scaler has skipped, of all
=============================  ====================================================

Shares are from 0 to 1. The ``name`` of a verdict is one of those of
:mod:`soco_mm.engine.health_verdicts`; each comes once, at the iteration at which it
became true.
"""

import json
from pathlib import Path
from typing import Any

from soco_mm.utils import write_json

HEALTH = 'health.json'
VERSION = 1


def read_health(folder: str | Path) -> dict[str, Any]:
    """The health of a run; without rows and verdicts if there is none.

    Args:
        folder (str | Path): The folder of the run.

    Returns:
        dict: What the file holds, see :mod:`soco_mm.engine.health`.
    """
    try:
        found = json.loads(Path(folder, HEALTH).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or found.get('version') != VERSION:
        found = {}
    return dict(dict(rows=[], verdicts=[]), **found)


def write_health(
    folder: str | Path, interval: int, rows: list[dict], verdicts: list[dict]
) -> None:
    """Write the health of a run, see :mod:`soco_mm.engine.health`."""
    found = dict(version=VERSION, interval=interval, rows=rows, verdicts=verdicts)
    write_json(Path(folder, HEALTH), found)
