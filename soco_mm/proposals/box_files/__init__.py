"""Boxes in other people's files: reading, matching and writing them."""

from .boxes import clip_boxes, count_corners, count_fractions, to_corners
from .coco import DESCRIPTION, write_coco
from .matching import match_images
from .reading import BoxFile, read_box_file

__all__ = [
    'DESCRIPTION',
    'BoxFile',
    'clip_boxes',
    'count_corners',
    'count_fractions',
    'match_images',
    'read_box_file',
    'to_corners',
    'write_coco',
]
