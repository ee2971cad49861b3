"""Trained weights: into other people's detectors, and back.

Nothing here needs MMCV's compiled ops.
"""
from .config_text import read_value
from .io import (check_finite, read_checkpoint, state_dict_of,
                 write_checkpoint)
from .matching import explain_mismatch, match_names
from .released import convert_released, released_layout
from .transfer import (PretrainedWeights, TransferReport, compare_tensors,
                       detector_weights)

__all__ = [
    'read_value', 'check_finite', 'read_checkpoint', 'state_dict_of',
    'write_checkpoint', 'explain_mismatch', 'match_names',
    'convert_released', 'released_layout', 'PretrainedWeights',
    'TransferReport', 'compare_tensors', 'detector_weights'
]
