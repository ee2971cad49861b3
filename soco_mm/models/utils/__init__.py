from .cosine_ema import CosineEMA
from .detector_parts import build_detector_part, initialize_like
from .object_encoder import ObjectEncoder

__all__ = ['CosineEMA', 'ObjectEncoder', 'build_detector_part', 'initialize_like']
