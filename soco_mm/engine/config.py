"""Read configs, set values in them, and build from them."""

import inspect
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from mmengine.config import Config
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from soco_mm.errors import SoCoError, UsageError, did_you_mean
from soco_mm.openmmlab import resolve
from soco_mm.utils.shipped import configs_root

from .build_errors import reason_of
from .norms import set_norm

CONFIG_ROOT = configs_root()
RECIPES = CONFIG_ROOT / 'soco'
CHECKPOINTS = ('.pth', '.pt', '.ckpt', '.safetensors')  # never those of a config

# Keys of a config that MMEngine's Runner reads in addition to its own arguments,
# and those that reading a config uses.
READ = {
    *inspect.signature(Runner.__init__).parameters,
    'model_wrapper_cfg',
    'sync_bn',
    'find_unused_parameters',
    'activation_checkpointing',
    'efficient_conv_bn_eval',
    'compile',
    'custom_imports',
    'handed_over',
    'init_weights',
    'norm',
}
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
LOADER_ARGUMENTS = set(inspect.signature(DataLoader.__init__).parameters)
NAMED = 3  # places in a sentence


@contextmanager
def building(what: str = 'a training') -> Iterator[None]:
    """Turn errors while building from a config into one sentence.

    Args:
        what (str): What is built. Defaults to ``a training``.

    Raises:
        SoCoError: If it cannot be built.
    """
    try:
        yield
    except (
        AssertionError,
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise SoCoError(
            f'The config cannot be built into {what}: {reason_of(error)}'
        ) from error


def set_options(
    cfg: Config, options: dict[str, Any], arguments: dict[str, str]
) -> None:
    """Set values of a config, each of which changes the run.

    Args:
        cfg (Config): The config; changed in place.
        options (dict): Values by dotted key, as ``--cfg-options`` gives them.
        arguments (dict): What the job computes or sets itself: the argument
            that sets it, by dotted key.

    Raises:
        UsageError: If a key is not in the config, is one of ``arguments``, is
            of a variable whose value has been copied to where it is used, or
            is given text for a number.
    """
    for key in options:
        for owned, argument in arguments.items():
            if key == owned or key.startswith(owned + '.'):
                raise UsageError(
                    f'--cfg-options cannot set {key}: other values '
                    f'depend on it. Set it with {argument}.'
                )
        before = read_key(cfg, key)
        check_read(cfg, key, arguments)
        check_number(key, before, options[key])
    cfg.merge_from_dict(options)
    set_norm(cfg)


def read_key(cfg: Config, key: str) -> Any:
    """Read the value under a dotted key; refuse a key that is not in the config.

    Arguments of a component or a data loader may be new, since a config
    states only what differs from the defaults, and the component refuses what
    it does not know; any other new key is taken for a misspelling.

    Returns:
        The value under the key, None if it is new.

    Raises:
        UsageError: If the key does not exist.
    """
    node = cfg._cfg_dict
    in_component = False
    for depth, part in enumerate(parts := key.split('.')):
        parent = '.'.join(parts[:depth]) or 'the config'
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise UsageError(
                    f'The config key {key} does not exist: '
                    f'{parent} is a list of {len(node)}.'
                )
            node = node[int(part)]
        elif isinstance(node, dict):
            in_component |= 'type' in node
            in_component |= parent in LOADERS and part in LOADER_ARGUMENTS
            if part not in node:
                if in_component and depth == len(parts) - 1:
                    return None
                raise UsageError(
                    f'The config key {key} does not exist: {parent} has '
                    f'{", ".join(map(str, node))}.{meant_key(cfg, parts, depth, node)}'
                )
            node = node[part]
        else:
            raise UsageError(
                f'The config key {key} does not exist: {parent} is {node!r}.'
            )
    return node


def meant_key(cfg: Config, parts: list[str], depth: int, node: dict) -> str:
    """``Did you mean ...?`` about a dotted key.

    Args:
        cfg (Config): The config.
        parts (list[str]): The key.
        depth (int): Index of the first part that does not exist.
        node (dict): What should have it.
    """
    before, after = parts[:depth], parts[depth + 1 :]
    siblings = {str(name): '.'.join([*before, str(name), *after]) for name in node}
    read = [key for top in READ.intersection(cfg) for key in find_keys(cfg[top], top)]
    there = [name for name, key in siblings.items() if key in read]
    # Or the place is wrong: batch_size is train_dataloader.batch_size. The
    # shortest of several is shown.
    read.sort(key=len, reverse=True)
    ends = {key.rpartition('.')[2]: key for key in read}
    return (
        did_you_mean(parts[depth], there, siblings)
        or did_you_mean(parts[-1], ends, ends)
        or did_you_mean(parts[depth], siblings, siblings)
    )


def find_keys(node: Any, path: str) -> Iterator[str]:
    """Yield the dotted keys in a part of a config, itself under ``path``."""
    yield path
    if isinstance(node, dict):
        for key, child in node.items():
            yield from find_keys(child, f'{path}.{key}')
    elif isinstance(node, (list, tuple)):
        for index, child in enumerate(node):
            yield from find_keys(child, f'{path}.{index}')


def check_read(cfg: Config, key: str, arguments: dict[str, str]) -> None:
    """Refuse a key of a variable, which nothing reads any more.

    Configs name a value to write it only once, such as ``train_pipeline``;
    when the config is read, it is copied to where it is used, and another
    value under the name would change nothing.

    Args:
        cfg (Config): The config.
        key (str): The key.
        arguments (dict): What the job sets itself, see :func:`set_options`.

    Raises:
        UsageError: If it is one; the text names the keys that are read.
    """
    name, _, rest = key.partition('.')
    if name in READ:
        return
    places = []
    for top in sorted(READ.intersection(cfg)):
        places += find_value(cfg[top], cfg[name], top)
    owners = [arguments[place] for place in places if place in arguments]
    if owners:
        advice = f'Set it with {owners[0]}'
    elif places:
        advice = 'Set ' + ' and '.join(
            f'{place}.{rest}' if rest else place for place in places[:NAMED]
        )
        advice += f', and {len(places) - NAMED} more' * (len(places) > NAMED)
    else:
        advice = (
            'Set the value where it is used, which the config that is '
            'saved with a run shows'
        )
    raise UsageError(
        f'The config key {key} changes nothing: {name} is a variable, whose '
        f'value is copied to where it is used. {advice}.'
    )


def check_number(key: str, before: Any, value: Any) -> None:
    """Refuse text instead of a number or the reverse, which might be noticed late.

    Raises:
        UsageError: If there is some.
    """
    # The scale of a loss may be a number or "dynamic".
    if (
        isinstance(before, (int, float))
        and isinstance(value, str)
        and value != 'dynamic'
    ):
        raise UsageError(
            f'The config key {key} is {before!r}; {value!r} is not a value for it.'
        )
    # A folder may be called 2024. Lengths of time may be numbers, too.
    is_text = isinstance(before, str) and not before[:1].isdigit()
    if is_text and before != 'dynamic' and type(value) in (int, float):
        raise UsageError(
            f'The config key {key} is the text {before!r}; {value!r} was read as a '
            f'number. Put text in quotes: {key}=\'"..."\'.'
        )


def find_value(node: Any, value: Any, path: str) -> list[str]:
    """Dotted keys under which a value is found in a part of a config.

    A dict is found also if more keys were added to it.
    """
    # The same number can occur anywhere by chance.
    if not isinstance(value, (str, dict, list, tuple)) or not value:
        return []
    same = node == value or (
        isinstance(node, dict)
        and isinstance(value, dict)
        and all(node.get(key, node) == value[key] for key in value)
    )
    if same:
        return [path]
    if isinstance(node, dict):
        items: Iterable[tuple] = node.items()
    elif isinstance(node, (list, tuple)):
        items = enumerate(node)
    else:
        return []
    return [
        place
        for key, child in items
        for place in find_value(child, value, f'{path}.{key}')
    ]


def recipe_names() -> list[str]:
    """Names of the recipes under ``configs/soco``, as :func:`load_config` takes them.

    Example:
        >>> from soco_mm.engine.config import recipe_names
        >>> 'soco_r50_fpn_100e' in recipe_names()
        True
    """
    paths = sorted(RECIPES.rglob('*.py'), key=lambda path: (len(path.parts), path))
    return [path.relative_to(RECIPES).with_suffix('').as_posix() for path in paths]


ConfigSource: TypeAlias = Config | str | Path | None


def as_config(config: ConfigSource) -> Config | None:
    """A config that was given as it is, by its path or by its name."""
    return load_config(config) if isinstance(config, (str, Path)) else config


def find_config(path: str | Path) -> Path:
    """The file of a config.

    Args:
        path (str | Path): The file, or the name of a recipe.

    Raises:
        UsageError: If there is neither.
    """
    path = Path(path)
    if path.is_file():
        return path
    known = RECIPES / path.with_suffix('.py')
    if known.is_file():
        return known
    names = recipe_names()
    # Also without the folder, or as the end of another path.
    stems = {Path(name).stem: name for name in reversed(names)}
    meant = did_you_mean(path.stem, stems, stems)
    raise UsageError(
        f'There is no config {path}.{meant} Give the path of one, or a name that '
        '"soco-mm configs" lists.'
    )


def drop_own_scope(value: Any) -> None:
    """Remove the key ``_scope_`` that names this package, which is the default.

    MMEngine adds it to what is inherited from ``soco_mm::...``, also to
    ``collate_fn``, which it then calls with it.

    Args:
        value (Any): A config or a part of one; changed in place.
    """
    if isinstance(value, dict):
        if value.get('_scope_') == 'soco_mm':
            del value['_scope_']
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        return
    for each in value:
        drop_own_scope(each)


def load_config(
    path: str | Path, options: dict | None = None, arguments: dict | None = None
) -> Config:
    """Read a config and set some of its values.

    Args:
        path (str | Path): The config, or its name under ``configs/soco``.
        options (dict, optional): Values by dotted key, as ``--cfg-options``
            gives them; each key must exist, but for arguments of a component or
            data loader. Defaults to None.
        arguments (dict, optional): What cannot be set this way: the argument
            of the job that sets it, by dotted key. Defaults to None.

    Returns:
        Config: The config.

    Raises:
        UsageError: If there is no such config, it cannot be read or has no model, or
            one of the keys is not in it or changes nothing.
    """
    path = find_config(path)
    if Path(path).suffix in CHECKPOINTS:
        raise UsageError(
            f'{path} is a checkpoint, not a config. Where both are given, the config '
            'comes first.'
        )
    try:
        cfg = Config.fromfile(path)
    except Exception as error:  # a config is a program: anything can happen
        raise UsageError(f'The config {path} cannot be read: {error}') from None
    if not isinstance(cfg.get('model'), dict):
        raise UsageError(f'{path} is no config of a training: it has no model.')
    drop_own_scope(cfg._cfg_dict)
    set_options(cfg, options or {}, arguments or {})
    resolve(cfg._cfg_dict)  # the options too
    return cfg
