"""What the classes of other libraries take."""

import inspect


def parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What a class takes, also through ``**kwargs`` of the classes it is made of."""
    found: dict[str, inspect.Parameter] = {}
    for each in cls.__mro__:
        if '__init__' not in vars(each):
            continue
        own = inspect.signature(vars(each)['__init__']).parameters
        found = {**own, **found}
        if not any(one.kind is one.VAR_KEYWORD for one in own.values()):
            break
    return found


def nothing_frozen(cls: type) -> int:
    """The ``frozen_stages`` with which a backbone freezes nothing.

    It is -1 where 0 is the stem, as of ResNet; others count the stages, as ConvNeXt.
    """
    stages = parameters(cls).get('frozen_stages')
    default = stages.default if stages else -1
    return min(default, 0) if isinstance(default, int) else -1
