"""Names of pyramid levels."""

from math import log2


def level_name(stride: float) -> str:
    """Name of the level with a stride in pixels.

    Example:
        >>> from soco_mm.utils.levels import level_name
        >>> level_name(4), level_name(128)
        ('P2', 'P7')
    """
    return f'P{round(log2(stride))}'
