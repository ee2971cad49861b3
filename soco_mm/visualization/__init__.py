"""Figures and HTML pages. Images are RGB, uint8, (H, W, 3)."""

from .drawing import (
    draw_boxes,
    draw_dashed_box,
    draw_overview,
    draw_tags,
    object_colors,
    place_tag,
    write_png,
)
from .views import DrawnView, describe_view, draw_sample, draw_view, render_gallery

__all__ = [
    'DrawnView',
    'describe_view',
    'draw_boxes',
    'draw_dashed_box',
    'draw_overview',
    'draw_sample',
    'draw_tags',
    'draw_view',
    'object_colors',
    'place_tag',
    'render_gallery',
    'write_png',
]
