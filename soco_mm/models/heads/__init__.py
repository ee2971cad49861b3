from .box_head import DisplacedBoxHead
from .soco_head import SoCoHead

__all__ = ['DisplacedBoxHead', 'SoCoHead']
