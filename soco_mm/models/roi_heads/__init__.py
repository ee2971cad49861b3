from .object_bbox_head import ObjectBBoxHead
from .object_conv_fc_head import ObjectConvFCHead
from .object_roi_head import ObjectRoIHead
from .res_layer_extra_norm import ResLayerExtraNorm
from .scale_aware_roi_extractor import ScaleAwareRoIExtractor

__all__ = [
    'ObjectBBoxHead',
    'ObjectConvFCHead',
    'ObjectRoIHead',
    'ResLayerExtraNorm',
    'ScaleAwareRoIExtractor',
]
