"""Object-level pretraining of whole detectors: SoCo for MMDetection.

The jobs of the command line are functions here, imported when they are first
used: ``soco_mm.pretrain(images, out)``. They say what they do through the
logger ``soco_mm``.

Once it is imported, ``torch.load`` reads weights only: no file of weights can run
code. ``TORCH_FORCE_WEIGHTS_ONLY_LOAD=0`` in the environment leaves that to the
callers; the jobs read weights only all the same.
"""

from importlib import import_module

from .version import __version__
from .weights_only import force_by_default

force_by_default()

# Where each job is; the parts that need only proposals start in a second.
_JOBS = {
    'browse': 'soco_mm.apis',
    'check_installation': 'soco_mm.installation',
    'export_detector': 'soco_mm.apis',
    'export_proposals': 'soco_mm.proposals.box_files.exporting',
    'export_weights': 'soco_mm.apis',
    'finetune': 'soco_mm.apis',
    'import_proposals': 'soco_mm.proposals.box_files.importing',
    'import_released': 'soco_mm.apis',
    'log_to_console': 'soco_mm.log',
    'make_proposals': 'soco_mm.proposals',
    'merge_proposals': 'soco_mm.proposals',
    'plan': 'soco_mm.apis',
    'pretrain': 'soco_mm.apis',
    'probe': 'soco_mm.apis',
    'replay': 'soco_mm.apis',
    'report_proposals': 'soco_mm.apis',
    'report_run': 'soco_mm.apis',
}
__all__ = ['__version__', *_JOBS]


def __getattr__(name: str):
    """Import a job when it is first used."""
    if name not in _JOBS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = globals()[name] = getattr(import_module(_JOBS[name]), name)
    return value


def __dir__() -> list[str]:
    """The jobs, too."""
    return sorted([*globals(), *_JOBS])
