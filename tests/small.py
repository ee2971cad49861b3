"""Recipes of narrow models, for tests in which the widths are not the point."""

from pathlib import Path

SOCO = Path(__file__).parent / 'recipes/soco_small.py'
MASK_RCNN = Path(__file__).parent / 'recipes/mask-rcnn_small.py'
# soco_small.py with the FPN of MMDetection's detectors.
USUAL_FPN = {
    'model.neck.out_channels': 256,
    'model.roi_head.bbox_head.in_channels': 256,
}
