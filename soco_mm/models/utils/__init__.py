from .cosine_ema import CosineEMA
from .object_encoder import ObjectEncoder

__all__ = ['CosineEMA', 'ObjectEncoder']
