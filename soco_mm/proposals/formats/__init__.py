"""Boxes in other people's files: reading, matching and writing them."""
from .boxes import clip_boxes, to_corners
from .coco import DESCRIPTION, write_coco
from .matching import match_images
from .reading import BoxFile, read_box_file

__all__ = [
    'clip_boxes', 'to_corners', 'DESCRIPTION', 'write_coco', 'match_images',
    'BoxFile', 'read_box_file'
]
