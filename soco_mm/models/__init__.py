from .algorithms import SoCo
from .data_preprocessor import ImageViewDataPreprocessor, ViewDataPreprocessor
from .dense_heads import ObjectDenseHead
from .heads import DisplacedBoxHead, SoCoHead
from .losses import ObjectCosineLoss, ObjectInfoNCELoss, VarianceCovarianceLoss
from .necks import NonLinearNeck
from .roi_heads import (
    ObjectBBoxHead,
    ObjectConvFCHead,
    ObjectRoIHead,
    ResLayerExtraNorm,
    ScaleAwareRoIExtractor,
)
from .utils import CosineEMA, ObjectEncoder

__all__ = [
    'CosineEMA',
    'DisplacedBoxHead',
    'ImageViewDataPreprocessor',
    'NonLinearNeck',
    'ObjectBBoxHead',
    'ObjectConvFCHead',
    'ObjectCosineLoss',
    'ObjectDenseHead',
    'ObjectEncoder',
    'ObjectInfoNCELoss',
    'ObjectRoIHead',
    'ResLayerExtraNorm',
    'ScaleAwareRoIExtractor',
    'SoCo',
    'SoCoHead',
    'VarianceCovarianceLoss',
    'ViewDataPreprocessor',
]
