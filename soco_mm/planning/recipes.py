"""The recipes under ``configs/soco``, and where the values of a config come from."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

from soco_mm.engine.config import (
    CONFIG_ROOT,
    READ,
    RECIPES,
    find_config,
    find_keys,
    read_key,
    recipe_names,
)
from soco_mm.errors import UsageError, did_you_mean
from soco_mm.utils.class_names import class_name

# Written by tools/analysis_tools/benchmark_recipes.py.
MEASURED = RECIPES / 'measured.json'


@dataclass
class Recipe:
    """A config to pretrain with.

    Attributes:
        name (str): Its name, as ``soco-mm pretrain --config`` takes it.
        purpose (str): What it is for.
        backbone (str): Backbone and neck.
        epochs (int | None): Length of the training; None if it counts in steps.
        batch_size (int): Images per step of all GPUs together.
        steps (int | None): Its length in steps, None if it counts in epochs.
        memory_gib (float | None): Peak memory of a step, None if it was not
            measured.
        step_time (float | None): Time of a step, compared with that of the
            recipe named in the file of measurements; None if it was not
            measured.
    """

    name: str
    purpose: str
    backbone: str
    epochs: int | None
    batch_size: int
    steps: int | None = None
    memory_gib: float | None = None
    step_time: float | None = None


@dataclass
class Setting:
    """A value of a config.

    Attributes:
        key (str): Its dotted key, as ``--cfg-options`` takes it.
        value (Any): The value.
        source (Path): The file of the inheritance chain that sets it.
    """

    key: str
    value: Any
    source: Path


def list_recipes() -> list[Recipe]:
    """The recipes under ``configs/soco``.

    Example:
        >>> from soco_mm.planning.recipes import list_recipes
        >>> [recipe.epochs for recipe in list_recipes() if '400e' in recipe.name]
        [400, 400, 400, 400, 400, 400]
    """
    measured = read_measured().get('recipes', {})
    recipes = []
    for name in recipe_names():
        path = RECIPES / f'{name}.py'
        cfg = Config.fromfile(path)
        recipes.append(
            Recipe(
                name,
                read_purpose(path),
                describe_backbone(cfg.model),
                cfg.train_cfg.get('max_epochs'),
                cfg.auto_scale_lr.base_batch_size,
                cfg.train_cfg.get('max_steps'),
                **measured.get(name, {}),
            )
        )
    return recipes


def read_measured() -> dict:
    """Memory and speed of recipes, with the conditions they were measured under."""
    return json.loads(MEASURED.read_text()) if MEASURED.is_file() else {}


def read_purpose(path: Path) -> str:
    """What a config is for: the first sentence of the comment at its top.

    Args:
        path (Path): The config.

    Returns:
        str: The sentence without its full stop, empty if there is no comment.
    """
    lines = []
    for line in path.read_text().splitlines():
        if not line.startswith('#'):
            break
        lines.append(line.lstrip('# '))
    return re.split(r'\.(?: |$)', ' '.join(lines))[0]


def describe_backbone(model: Config) -> str:
    """Backbone and neck of a model in a few words, such as ``ResNet-50 FPN``."""
    backbone = model.backbone
    size = backbone.get('depth') or backbone.get('arch') or ''
    words = [class_name(backbone) + f'-{size}' * bool(size)]
    if model.get('neck'):
        words.append(class_name(model.neck))
    elif model.roi_head.get('shared_head'):
        words.append('C4')
    return ' '.join(words)


def trace_config(config: str | Path, key: str | None = None) -> list[Setting]:
    """The values that a training reads of a config, and where each comes from.

    Args:
        config (str | Path): The config, or its name under ``configs/soco``.
        key (str, optional): Only the values under this dotted key. Defaults to
            None, all.

    Returns:
        list[Setting]: The values, in the order of the config. The source is the
        file nearest to the config that gives the value another content than
        the files it inherits from.

    Raises:
        UsageError: If there is no such config or key.
    """
    path = find_config(config)
    try:
        traced = trace_file(path)
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is a program: anything can happen
        raise UsageError(f'The config {path} cannot be read: {error}') from None
    settings = [
        Setting(each, value, source)
        for each, (value, source) in traced.items()
        if each.partition('.')[0] in READ
    ]
    if key is None:
        return settings
    under = [each for each in settings if f'{each.key}.'.startswith(f'{key}.')]
    if not under:
        read_key(cfg, key)
        keys = [each for top in READ & set(cfg) for each in find_keys(cfg[top], top)]
        meant = did_you_mean(key, keys)
        raise UsageError(
            f'{config} sets no {key} that a training reads.{meant} "soco-mm configs '
            f'{config}" prints all keys.'
        )
    return under


def trace_file(path: Path) -> dict[str, tuple[Any, Path]]:
    """Value and source of each leaf of a config, by dotted key."""
    inherited = {}
    for base in Config._get_base_files(str(path)):
        # Also configs of other libraries, such as mmdet::...
        inherited.update(trace_file(Path(Config._get_cfg_path(base, str(path))[0])))
    return {
        key: inherited[key]
        if key in inherited and inherited[key][0] == value
        else (value, path.resolve())
        for key, value in leaves(Config.fromfile(path)._cfg_dict.to_dict())
    }


def leaves(node: Any, key: str = '') -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of everything in a config except dicts.

    Lists are values, unless they hold dicts.
    """
    items: Iterable[tuple[Any, Any]]
    if isinstance(node, dict) and node:
        # MMEngine records what is inherited from a library.
        items = [item for item in node.items() if item[0] != '_scope_']
    elif isinstance(node, (list, tuple)) and any(isinstance(x, dict) for x in node):
        items = enumerate(node)
    else:
        yield key, node
        return
    for name, child in items:
        yield from leaves(child, f'{key}.{name}' if key else str(name))


def shown_source(path: Path) -> str:
    """A config file as people name it: from ``configs`` of its library on."""
    if path.is_relative_to(CONFIG_ROOT):
        return f'configs/{path.relative_to(CONFIG_ROOT)}'
    library, found, rest = str(path).partition('/.mim/configs/')
    return f'{Path(library).name}::{rest}' if found else str(path)
