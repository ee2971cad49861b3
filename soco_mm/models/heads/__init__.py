from .soco_head import SoCoHead

__all__ = ['SoCoHead']
