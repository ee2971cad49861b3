"""The class that a part of a config names."""

from collections.abc import Mapping


def class_name(part: Mapping) -> str:
    """Class of a part of a config, without the scope or module it is found in.

    Args:
        part (Mapping): A part whose ``type`` is a name, or the class itself.

    Returns:
        str: The name; empty if there is no ``type``.

    Example:
        >>> from soco_mm.utils.class_names import class_name
        >>> class_name(dict(type='soco_mm.LoadImage')), class_name(dict(type=dict))
        ('LoadImage', 'dict')
    """
    kind = part.get('type') or ''
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]
