"""The model config in a checkpoint."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry, root

from soco_mm.checkpoint.config_text import config_text, read_assignment
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError

DETECTORS = 'mmdet'  # the scope of detectors


def model_of(
    checkpoint: dict, path: str | Path, parts: Sequence[str] | None = None
) -> Config:
    """The model's config that a checkpoint holds; nothing in it is run.

    MMEngine takes ``type='os.system'`` for the name of a function and calls
    it, so only registered components are accepted. ``init_cfg``, which would
    load other weights, is left out.

    Args:
        checkpoint (dict): The checkpoint.
        path (str | Path): The file, for messages.
        parts (Sequence[str], optional): Those of the model that are built.
            Defaults to None, all.

    Returns:
        Config: The ``model``.

    Raises:
        SoCoError: If it holds none, or one with a component that is not
            registered.
    """
    model = read_model(checkpoint)
    if model is None:
        raise SoCoError(
            f'{path} does not say which model it holds. Give the config of '
            'its pretraining: soco-mm export CONFIG CHECKPOINT ...'
        )
    model = without_initialisation(model)
    built = (
        model if parts is None else {key: model[key] for key in parts if key in model}
    )
    for name in unregistered(built):
        raise SoCoError(
            f'{path} holds a model that cannot be built: {name} is not a '
            'component of this plugin or of an OpenMMLab library that is '
            'installed. If it is from a pretraining with this plugin, give '
            'its config.'
        )
    return Config(dict(model=model)).model


def says_model(checkpoint: dict) -> bool:
    """Whether a checkpoint says which model it holds."""
    return read_model(checkpoint) is not None


def read_model(checkpoint: dict) -> dict | None:
    """The ``model`` in a checkpoint as it stands there, None without one."""
    meta = checkpoint.get('meta')
    if not isinstance(meta, dict):
        return None
    model = meta.get('model')
    if model is None:
        model = read_assignment(config_text(checkpoint), 'model')
    return model if isinstance(model, dict) else None


def without_initialisation(value):
    """A copy of a part of a config without ``init_cfg``."""
    if isinstance(value, dict):
        return {
            key: without_initialisation(each)
            for key, each in value.items()
            if key != 'init_cfg'
        }
    if isinstance(value, (list, tuple)):
        return type(value)(map(without_initialisation, value))
    return value


def types_in(value) -> Iterator:
    """All ``type`` in a part of a config."""
    if isinstance(value, dict):
        if 'type' in value:
            yield value['type']
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from types_in(each)


def unregistered(value) -> Iterator:
    """All ``type`` in a part of a model that MMEngine would import and call."""
    return (name for name in types_in(value) if not is_registered(name))


def is_registered(name: str) -> bool:
    """Whether a ``type`` in a config is a registered component of a model.

    Args:
        name (str): With or without the scope of its library. Heads of
            detectors are built in MMDetection's scope, and so need none.
    """
    scope, _, key = str(name).rpartition('.')
    registries = [] if scope else [MODELS]
    scope = scope or DETECTORS
    if scope in (*MODULE2PACKAGE, 'soco_mm'):
        try:
            import_module(f'{scope}.registry')
        except ImportError:
            return is_in(registries, key)
        # Anchors and assigners are no models, but arguments of heads.
        for each in (root.MODELS, root.TASK_UTILS):
            registries.append(each.children.get(scope))
    return is_in(registries, key)


def is_in(registries: Sequence[Registry | None], key: str) -> bool:
    """Whether one of some registries, or one above it, has a component."""
    for registry in registries:
        while registry is not None:
            registry.import_from_location()
            if key in registry.module_dict:
                return True
            registry = registry.parent
    return False
