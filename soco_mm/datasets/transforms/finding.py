from collections.abc import Sequence

from soco_mm.utils.class_names import class_name


def find_transform(pipeline: Sequence[dict], transform: type) -> dict | None:
    """The config of a transform in a pipeline.

    Args:
        pipeline (Sequence[dict]): The configs of the transforms.
        transform (type): The class, under any scope of a registry.

    Returns:
        dict, optional: That of the first one; None if there is none.

    Example:
        >>> from soco_mm.datasets.transforms import ConstructViews
        >>> from soco_mm.datasets.transforms.finding import find_transform
        >>> pipeline = [dict(type='LoadImage'), dict(type='soco_mm.ConstructViews')]
        >>> find_transform(pipeline, ConstructViews)
        {'type': 'soco_mm.ConstructViews'}
    """
    found = (each for each in pipeline if class_name(each) == transform.__name__)
    return next(found, None)
