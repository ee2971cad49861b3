"""What a person looks at. Images are RGB, uint8, (H, W, 3)."""
from .drawing import (draw_boxes, draw_dashed_box, draw_overview, draw_tag,
                      object_colors, write_png)
from .views import DrawnView, draw_sample, draw_view

__all__ = [
    'draw_boxes', 'draw_dashed_box', 'draw_overview', 'draw_tag',
    'object_colors', 'write_png', 'DrawnView', 'draw_sample', 'draw_view'
]
