from .algorithms import SoCo
from .data_preprocessor import ImageViewDataPreprocessor, ViewDataPreprocessor
from .heads import SoCoHead
from .losses import ObjectCosineLoss
from .mmselfsup import NonLinearNeck
from .roi_heads import ObjectBBoxHead, ObjectRoIHead, ScaleAwareRoIExtractor
from .utils import CosineEMA, ObjectEncoder

__all__ = [
    'CosineEMA',
    'ImageViewDataPreprocessor',
    'NonLinearNeck',
    'ObjectBBoxHead',
    'ObjectCosineLoss',
    'ObjectEncoder',
    'ObjectRoIHead',
    'ScaleAwareRoIExtractor',
    'SoCo',
    'SoCoHead',
    'ViewDataPreprocessor',
]
