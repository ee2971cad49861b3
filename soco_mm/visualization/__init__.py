"""What a person looks at. Images are RGB, uint8, (H, W, 3)."""
from .drawing import draw_boxes, draw_overview, object_colors, write_png

__all__ = ['draw_boxes', 'draw_overview', 'object_colors', 'write_png']
