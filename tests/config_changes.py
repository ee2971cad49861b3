"""Where two configs differ, in words."""

from mmengine.config import Config

LOOKED_AT = (
    'model',
    'train_dataloader',
    'optim_wrapper',
    'param_scheduler',
    'train_cfg',
    'auto_scale_lr',
    'default_hooks',
    'custom_hooks',
)
# What is left away of a key.
PREFIXES = (
    'train_dataloader.dataset.pipeline.',
    'train_dataloader.dataset.',
    'train_dataloader.',
    'optim_wrapper.',
)


def named(value):
    """Lists of dictionaries as a dictionary by type, or by index."""
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], dict):
        return {each.get('type', str(i)): each for i, each in enumerate(value)}
    return value


def plain(value):
    """A value as the table shows it."""
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return float(f'{value:.3g}') if isinstance(value, float) else value


def shorten(key: str) -> str:
    """A key without what is the same for all."""
    prefix = next((p for p in PREFIXES if key.startswith(p)), '')
    return key[len(prefix) :]


def differences(before, after, key: str = '') -> list:
    """What changes from one value to another, in words."""
    before, after = named(before), named(after)
    name = shorten(key)
    if after is None:
        return [] if before is None else [f'without {name}']
    if isinstance(after, dict):
        same_kind = isinstance(before, dict) and (
            before.get('type') == after.get('type') or before.keys() == after.keys()
        )
        if not same_kind and 'type' in after and key.startswith('model.'):
            return [f'{name}: {after["type"]}']  # its config says the rest
        before = before if isinstance(before, dict) else {}
        found = []
        for part in [*before, *(part for part in after if part not in before)]:
            if part == 'type' and part not in before:
                continue  # its keys say enough
            below = f'{key}.{part}' if key else part
            if part not in after:
                found.append(f'without {shorten(below)}')
            else:
                found += differences(before.get(part), after[part], below)
        return found
    if plain(before) == plain(after):
        return []
    return [f'{name} = {plain(after)}']


def describe_changes(base: Config, cfg: Config) -> list:
    """What a config changes of another, in words."""
    return differences(
        *({key: each[key] for key in LOOKED_AT if key in each} for each in (base, cfg))
    )
