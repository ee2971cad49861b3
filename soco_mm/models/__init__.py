from .algorithms import SoCo
from .data_preprocessor import ViewDataPreprocessor
from .heads import SoCoHead
from .losses import ObjectCosineLoss
from .mmselfsup import NonLinearNeck
from .roi_heads import ObjectBBoxHead, ObjectRoIHead, ScaleAwareRoIExtractor
from .utils import CosineEMA, ObjectEncoder

__all__ = [
    'SoCo', 'ViewDataPreprocessor', 'SoCoHead', 'ObjectCosineLoss',
    'NonLinearNeck', 'ObjectBBoxHead', 'ObjectRoIHead',
    'ScaleAwareRoIExtractor', 'CosineEMA', 'ObjectEncoder'
]
