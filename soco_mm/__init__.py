"""Object-level pretraining of whole detectors: SoCo for MMDetection."""

from .version import __version__

__all__ = ['__version__']
