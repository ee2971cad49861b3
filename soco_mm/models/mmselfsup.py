"""The only module that imports from MMSelfSup.

Its successor can be used here instead. ``mmselfsup.datasets`` is never
imported: it needs torchvision, which is not built for every PyTorch.
"""

from mmselfsup.models import NonLinearNeck

from soco_mm.registry import MODELS

MODELS.register_module(module=NonLinearNeck)

__all__ = ['NonLinearNeck']
