"""Offline object proposals: from an image to boxes.

Boxes are x1 y1 x2 y2 in pixels of the image, continuous (x2 = x1 + w).
"""
from .filters import ProposalFilter
from .generate import PRESETS, generate_proposals
from .selective_search import SelectiveSearch
from .store import Proposals, ProposalStore

__all__ = [
    'ProposalFilter', 'PRESETS', 'generate_proposals', 'SelectiveSearch',
    'Proposals', 'ProposalStore'
]
