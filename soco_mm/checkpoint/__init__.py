"""Trained weights: into other people's detectors, and back.

Nothing here needs MMCV's compiled ops.
"""

from .config_text import read_assignment
from .io import check_finite, read_checkpoint, state_dict_of, write_checkpoint
from .matching import explain_mismatch, match_names
from .released import convert_released, released_layout
from .transfer import (
    PretrainedWeights,
    TransferReport,
    compare_tensors,
    detector_weights,
)

__all__ = [
    'PretrainedWeights',
    'TransferReport',
    'check_finite',
    'compare_tensors',
    'convert_released',
    'detector_weights',
    'explain_mismatch',
    'match_names',
    'read_assignment',
    'read_checkpoint',
    'released_layout',
    'state_dict_of',
    'write_checkpoint',
]
