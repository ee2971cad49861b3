"""Trained weights: into other people's detectors, and back.

Nothing here needs MMCV's compiled ops.
"""
from .io import read_checkpoint, write_checkpoint
from .released import convert_released
from .transfer import (PretrainedWeights, TransferReport, compare_tensors,
                       detector_weights)

__all__ = [
    'read_checkpoint', 'write_checkpoint', 'convert_released',
    'PretrainedWeights', 'TransferReport', 'compare_tensors',
    'detector_weights'
]
