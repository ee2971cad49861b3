import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from soco_mm.coco import (
    Annotations,
    has_splits,
    holds_annotations,
    images_of_val,
    read_annotations,
)
from soco_mm.coco.classes import no_category
from soco_mm.proposals.summary import warn_of_depth
from soco_mm.utils import ImageError, SoCoError, UsageError, file_hash, read_image
from soco_mm.utils.depth import STRETCH, sample_deep
from soco_mm.utils.stretch import Stretch
from soco_mm.utils.tiff import read_layouts

# Where the depth of images is decided.
EXPORTED = (
    'The detector reads images as its pretraining did: pretrain with '
    f'{STRETCH} to use the whole range'
)


def read_data(
    train: str | Path,
    images: str | Path | None = None,
    val: str | Path | None = None,
    val_images: str | Path | None = None,
    classes: Sequence[str] | None = None,
    masks: bool = True,
) -> dict[str, Annotations]:
    """Read what a detector is trained with and evaluated on.

    Args:
        train (str | Path): The annotations of the training: COCO, YOLO or
            Pascal VOC, see :func:`soco_mm.coco.read_source`.
        images (str | Path, optional): The folder of their images. Defaults to
            None, where the layout says.
        val (str | Path, optional): The annotations of the evaluation. Defaults
            to None, those of the data set that ``train`` names.
        val_images (str | Path, optional): The folder of their images. Defaults
            to None, see :func:`soco_mm.coco.images_of_val`.
        classes (Sequence[str], optional): Read only objects of these, in
            this order. Defaults to None, all categories of ``train``.
        masks (bool): Read masks too. Defaults to True.

    Returns:
        dict: ``train`` and ``val``, of the same classes.

    Raises:
        UsageError: If annotations are missing or malformed, or do not have
            one of the classes.
        SoCoError: If they or an image cannot be used.
    """
    if val is None and holds_annotations(train) and not has_splits(train):
        raise UsageError(
            f'{train} does not say which images are for evaluation. Give '
            'their annotations with --val.'
        )
    subset = classes is not None
    for name, count in Counter(classes or ()).items():
        if count > 1:
            raise UsageError(f'The class {name} is named twice. Name each once.')
    first = read_annotations(train, images, classes, subset, masks=masks)
    if subset and first.absent:
        raise UsageError(no_category(train, first.absent[0], first.categories))
    second = read_annotations(
        train if val is None else val,
        images_of_val(train, val, images, val_images),
        first.classes,
        subset,
        split='val',
        masks=masks,
    )
    return dict(train=first, val=second)


def check_pixels(sources: Mapping[str, Annotations], stretch: Stretch) -> None:
    """Refuse images whose pixels the detector would read wrongly.

    All TIFFs are looked at, of other images of more than 8 bits a sample. Warns if few
    grey levels are left of them.

    Args:
        sources (Mapping): The annotations.
        stretch (tuple, optional): How the detector reduces images to 8 bits.

    Raises:
        SoCoError: If it cannot read one of those looked at, or reads it wrongly.
    """
    for each in sources.values():
        root, paths = str(each.root), list(each.images.values())
        deep, _ = sample_deep(root, paths)
        bad = list(find_misread(root, paths, deep, stretch))
        if bad:
            (path, reason), *others = bad
            more = f', and {len(others)} more such' * bool(others)
            advice = f' {EXPORTED}.' * ('--stretch' in reason)
            raise SoCoError(
                f'{each.path} names {each.root / path}, which {reason}{more}.{advice}'
            )
        if deep:
            warn_of_depth(root, paths, stretch, EXPORTED)


def find_misread(
    root: str, paths: Sequence[str], deep: Sequence[str], stretch: Stretch
) -> Iterator[tuple[str, str]]:
    """The TIFFs among images, and those of a sample of deep ones, that are misread.

    Args:
        root (str): The folder of the images.
        paths (Sequence[str]): Their paths relative to it.
        deep (Sequence[str]): The sample.
        stretch (tuple, optional): How they are reduced to 8 bits.

    Yields:
        tuple: A path, and what is wrong.
    """
    sample = set(deep)
    for path, layout in read_layouts(root, paths):
        reason = layout and layout.explain_misread(stretch is not None)
        # Some show it in their pixels only.
        if not reason and (path in sample or (layout and layout.alpha)):
            try:
                read_image(Path(root, path), stretch)
            except ImageError as error:
                reason = str(error)
        if reason:
            yield path, reason


def short_hash(path: str | Path) -> str:
    """The start of the SHA-256 of a file."""
    return file_hash(path)[:12]


def hash_of(annotations: Annotations) -> str:
    """The start of the SHA-256 of a COCO json, or of the content of other layouts.

    The labels of other layouts are in many files.
    """
    if annotations.path.suffix.lower() == '.json':
        return short_hash(annotations.path)
    content = json.dumps(annotations.content)
    return hashlib.sha256(content.encode()).hexdigest()[:12]
