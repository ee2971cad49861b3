from .algorithms import SoCo
from .data_preprocessor import ImageViewDataPreprocessor, ViewDataPreprocessor
from .heads import SoCoHead
from .losses import ObjectCosineLoss
from .mmselfsup import NonLinearNeck
from .roi_heads import ObjectBBoxHead, ObjectRoIHead, ScaleAwareRoIExtractor
from .utils import CosineEMA, ObjectEncoder

__all__ = [
    'SoCo', 'ImageViewDataPreprocessor', 'ViewDataPreprocessor', 'SoCoHead',
    'ObjectCosineLoss',
    'NonLinearNeck', 'ObjectBBoxHead', 'ObjectRoIHead',
    'ScaleAwareRoIExtractor', 'CosineEMA', 'ObjectEncoder'
]
