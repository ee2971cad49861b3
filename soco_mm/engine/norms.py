"""The norm layers of a model, chosen in one place of a config."""

from collections.abc import Iterable, Mapping
from typing import Any

from mmengine.config import Config
from torch import nn

from soco_mm.errors import did_you_mean
from soco_mm.utils import SoCoError, UsageError

# Synchronised batch norm of PyTorch, batch norm of each process, group norm.
NORMS = ('SyncBN', 'BN', 'GN')
BATCH_NORMS = ('SyncBN', 'MMSyncBN', 'BN')
GROUPS = 32


def set_norm(cfg: Config) -> None:
    """Give a model the norm layers that ``norm`` of its config names, in place.

    All batch norms of backbone, neck, head, projector and predictor are
    replaced; norms of other kinds, such as the layer norms of a Swin, stay.

    Args:
        cfg (Config): The config of a pretraining. ``norm`` is ``SyncBN``,
            ``BN``, ``GN`` (32 groups), a config such as ``dict(_delete_=True,
            type='GN', num_groups=16)``, or None, as the model says.

    Raises:
        UsageError: If there is no such norm.
    """
    chosen = cfg.get('norm')
    if chosen is None:
        return
    given = dict(chosen) if isinstance(chosen, Mapping) else dict(type=chosen)
    if given.get('type') not in NORMS:
        meant = did_you_mean(str(given.get('type')), NORMS)
        raise UsageError(
            f'norm must be one of {", ".join(NORMS)}, or a config of one, but is '
            f'{chosen!r}.{meant}'
        )
    if given['type'] == 'GN':
        given.setdefault('num_groups', GROUPS)
    replace_norms(cfg.model, given)


def replace_norms(node: Any, norm: dict) -> None:
    """Replace the batch norms, and those that took their place, in a config."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key.endswith('norm_cfg') and isinstance(value, Mapping):
                if value.get('type') in (*BATCH_NORMS, norm['type']):
                    kept = {k: value[k] for k in ('requires_grad',) if k in value}
                    node[key] = {**kept, **norm}
            else:
                replace_norms(value, norm)
    elif isinstance(node, (list, tuple)):
        for value in node:
            replace_norms(value, norm)


def refuse_other_norms(backbone: nn.Module, names: Iterable[str], source: str) -> None:
    """Refuse weights of a backbone with batch norm for one with group norm.

    Its convolutions would be filled, and compute something else.

    Args:
        backbone (nn.Module): The backbone of the model.
        names (Iterable[str]): Names of the weights.
        source (str): Where they come from.

    Raises:
        SoCoError: If they are refused.
    """
    kinds = [type(module) for module in backbone.modules()]
    batch = any(issubclass(each, nn.modules.batchnorm._BatchNorm) for each in kinds)
    names = [name for name in names if name.endswith('running_mean')]
    # Of a whole detector, or of a backbone alone.
    theirs = [name for name in names if name.startswith('backbone.')] or names
    if nn.GroupNorm in kinds and not batch and theirs:
        raise SoCoError(
            f'{source} holds a backbone with batch norm ({theirs[0]}), whose weights '
            'do not fit one with group norm. Leave out norm=GN, or start from random '
            'weights.'
        )
