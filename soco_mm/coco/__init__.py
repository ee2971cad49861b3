"""COCO annotations of any kind, as training reads them."""
from .account import Account, Reason
from .annotations import Annotations, read_annotations, write_annotations
from .files import AmbiguousName, NameFinder, clean_name
from .masks import decode_mask
from .source import Source
from .sources import has_splits, holds_annotations, read_source
from .structure import (Category, ImageEntry, ObjectEntry, read_categories,
                        read_images, read_objects)
from .subset import coco_subset, write_subset

__all__ = [
    'Account', 'Reason', 'Annotations', 'read_annotations',
    'write_annotations', 'AmbiguousName', 'NameFinder', 'clean_name',
    'decode_mask', 'Source', 'has_splits', 'holds_annotations', 'read_source',
    'Category', 'ImageEntry', 'ObjectEntry', 'read_categories', 'read_images',
    'read_objects', 'coco_subset', 'write_subset'
]
