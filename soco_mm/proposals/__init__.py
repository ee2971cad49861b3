"""Offline object proposals: from an image to boxes.

Boxes are x1 y1 x2 y2 in pixels of the image, continuous (x2 = x1 + w).
"""

from .edge_boxes import EdgeBoxes
from .filters import ProposalFilter
from .generate import generate_proposals
from .journal import Journal
from .layout import Proposals
from .make import make_proposals, merge_proposals
from .presets import METHODS, PRESETS, build_settings
from .random_boxes import RandomBoxes
from .selective_search import SelectiveSearch
from .store import ProposalStore
from .summary import ProposalSummary, summarize
from .union import Union
from .whole_image import WholeImage

__all__ = [
    'METHODS',
    'PRESETS',
    'EdgeBoxes',
    'Journal',
    'ProposalFilter',
    'ProposalStore',
    'ProposalSummary',
    'Proposals',
    'RandomBoxes',
    'SelectiveSearch',
    'Union',
    'WholeImage',
    'build_settings',
    'generate_proposals',
    'make_proposals',
    'merge_proposals',
    'summarize',
]
