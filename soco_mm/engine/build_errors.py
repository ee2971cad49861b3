"""MMEngine's errors when a component cannot be built, with suggestions."""

import inspect
import re
import traceback
from collections.abc import Iterator
from contextlib import suppress

from mmengine.registry import Registry, root

from soco_mm.errors import did_you_mean

UNKNOWN_TYPE = re.compile(r'(\S+) is not in the (?:(\S+)::)?([\w ]+) registry')
UNKNOWN_ARGUMENT = re.compile(
    r"(?:(\w+)\.)?__init__\(\) got an unexpected keyword argument '(\w+)'"
)


def reason_of(error: Exception) -> str:
    """Why a component cannot be built, as text.

    Args:
        error (Exception): What building it raised.

    Returns:
        str: For a type that is in no registry, or an argument that its class
        does not take, a sentence with the name that was probably meant; else
        the text of the error.

    Example:
        >>> from soco_mm.engine.build_errors import reason_of
        >>> reason_of(KeyError('LarsX is not in the mmengine::runner registry.'))
        'there is no runner LarsX.'
    """
    # For an assertion without a text, its line says what was expected.
    text = str(error) or traceback.extract_tb(error.__traceback__)[-1].line or ''
    if text == 'None is not a callable object':
        # MMEngine looks the optimizer up and does not look at what it found.
        text = f'{optimizer_of(error)} is not in the soco_mm::optimizer registry'
    if match := UNKNOWN_TYPE.search(text):
        name, scope, kind = match.groups()
        name = name.strip('\'"`')
        return f'there is no {kind} {name}.{did_you_mean(name, types(kind, scope))}'
    if match := UNKNOWN_ARGUMENT.search(text):
        cls, name = match.groups()
        return text + '.' + did_you_mean(name, parameters(cls))
    return text


def optimizer_of(error: Exception) -> str | None:
    """The type of the optimizer that was being built."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        constructor = frame.f_locals.get('self')
        cfg = getattr(constructor, 'optimizer_cfg', None)
        if cfg is not None:
            return cfg['type']
    return None


def types(kind: str, scope: str | None) -> set[str]:
    """Names under which components of a registry are found in a scope."""
    return {
        name.removeprefix(f'{scope}.')
        for registry in registries()
        if registry.name == kind
        for name in names_of(registry)
    }


def parameters(cls: str | None) -> set[str]:
    """Arguments of all components whose class has a name."""
    found = set()
    for registry in registries():
        for component in registry.module_dict.values():
            if inspect.isclass(component) and component.__name__ == cls:
                for base in inspect.getmro(component)[:-1]:
                    # Not known for built-in types.
                    with suppress(ValueError):
                        found |= set(inspect.signature(base).parameters)
    return found - {'self', 'args', 'kwargs'}


def registries() -> Iterator[Registry]:
    """Yield MMEngine's registries and their children."""
    todo = [each for each in vars(root).values() if isinstance(each, Registry)]
    while todo:
        registry = todo.pop()
        yield registry
        todo.extend(registry.children.values())


def names_of(registry: Registry) -> Iterator[str]:
    """Yield the names of what a registry holds, with its scope."""
    for name in registry.module_dict:
        yield name if registry.parent is None else f'{registry.scope}.{name}'
