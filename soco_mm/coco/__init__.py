"""COCO annotations of any kind, as training reads them."""

from .account import Account, Reason
from .annotations import Annotations, read_annotations, write_annotations
from .files import AmbiguousName, NameFinder, clean_name
from .masks import decode_mask
from .source import Source
from .sources import (
    SAME_NAMES,
    has_splits,
    holds_annotations,
    images_of_val,
    read_source,
)
from .structure import (
    Category,
    ImageEntry,
    ObjectEntry,
    read_categories,
    read_images,
    read_objects,
)
from .subset import coco_subset, write_subset

__all__ = [
    'SAME_NAMES',
    'Account',
    'AmbiguousName',
    'Annotations',
    'Category',
    'ImageEntry',
    'NameFinder',
    'ObjectEntry',
    'Reason',
    'Source',
    'clean_name',
    'coco_subset',
    'decode_mask',
    'has_splits',
    'holds_annotations',
    'images_of_val',
    'read_annotations',
    'read_categories',
    'read_images',
    'read_objects',
    'read_source',
    'write_annotations',
    'write_subset',
]
