"""One function per job; the tools and the command line call these.

All are also found under ``soco_mm`` itself.

Example:
    >>> import soco_mm
    >>> soco_mm.pretrain.__name__, soco_mm.make_proposals.__module__
    ('pretrain', 'soco_mm.proposals.make')
"""

from soco_mm.installation import check_installation
from soco_mm.proposals import make_proposals, merge_proposals
from soco_mm.proposals.box_files.exporting import export_proposals
from soco_mm.proposals.box_files.importing import import_proposals

from .browse import browse
from .export import export_detector, export_weights
from .finetune import finetune
from .importing import import_released
from .plan import plan
from .pretrain import pretrain
from .probe import probe
from .replay import replay
from .report_proposals import ReportResult, report_proposals
from .report_run import RunReportResult, report_run
from .results import BrowseResult, FinetuneResult, PretrainResult

__all__ = [
    'BrowseResult',
    'FinetuneResult',
    'PretrainResult',
    'ReportResult',
    'RunReportResult',
    'browse',
    'check_installation',
    'export_detector',
    'export_proposals',
    'export_weights',
    'finetune',
    'import_proposals',
    'import_released',
    'make_proposals',
    'merge_proposals',
    'plan',
    'pretrain',
    'probe',
    'replay',
    'report_proposals',
    'report_run',
]
