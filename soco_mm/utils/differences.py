"""What differs between two sets of values, as text."""


def flatten(values: dict, prefix: str = '') -> dict:
    """Values by dotted key; a list of plain values is one value.

    Example:
        >>> flatten(dict(hooks=dict(logger=dict(interval=5)), size=[1, 2]))
        {'hooks.logger.interval': 5, 'size': [1, 2]}
    """
    found = {}
    for key, value in values.items():
        name = f'{prefix}{key}'
        if isinstance(value, list) and any(
            isinstance(part, (dict, list)) for part in value
        ):
            value = dict(enumerate(value))
        if isinstance(value, dict) and value:
            found.update(flatten(value, f'{name}.'))
        else:
            found[name] = value
    return found


def in_words(changed: dict[str, tuple], most: int = 4) -> str:
    """What differs, such as ``epochs=2, now 3``.

    Args:
        changed (dict[str, tuple]): The value then and now by key.
        most (int): How many are named. Defaults to 4.

    Returns:
        str: The words.
    """
    words = [
        '{}={}, now {}'.format(
            key, *('none' if value is None else value for value in values)
        )
        for key, values in list(changed.items())[:most]
    ]
    if len(changed) > most:
        words.append(f'and {len(changed) - most} more')
    return '; '.join(words)
