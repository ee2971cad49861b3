"""The one place through which parts of MMSelfSup come in.

Its successor can stand in here. ``mmselfsup.datasets`` is never imported: it
needs torchvision, of which there is no build for every PyTorch.
"""

from mmselfsup.models import NonLinearNeck

from soco_mm.registry import MODELS

MODELS.register_module(module=NonLinearNeck)

__all__ = ['NonLinearNeck']
