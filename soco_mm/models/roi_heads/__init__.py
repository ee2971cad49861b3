from .object_bbox_head import ObjectBBoxHead
from .object_roi_head import ObjectRoIHead
from .scale_aware_roi_extractor import ScaleAwareRoIExtractor

__all__ = ['ObjectBBoxHead', 'ObjectRoIHead', 'ScaleAwareRoIExtractor']
