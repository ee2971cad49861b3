"""Weights that a training starts from: ``load_from`` and ``Pretrained``."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_from_local
from torch import nn

from soco_mm.checkpoint import (
    TransferReport,
    compare_tensors,
    read_checkpoint,
    state_dict_of,
)
from soco_mm.checkpoint.handed_over import trainable_parts
from soco_mm.utils import SoCoError, UsageError
from soco_mm.utils.class_names import class_name
from soco_mm.weights_only import only_weights

from .norms import refuse_other_norms

PRETRAINED = ('Pretrained', 'PretrainedInit')  # the name in a config, and the class


@contextmanager
def safe_loading() -> Iterator[None]:
    """Let MMEngine read checkpoints as :func:`read_checkpoint` does.

    Those that it downloads are read as weights only.
    """
    CheckpointLoader.register_scheme('', load_from_file, force=True)
    try:
        with only_weights():
            yield
    finally:
        CheckpointLoader.register_scheme('', load_from_local, force=True)


def load_from_file(filename: str, map_location=None) -> dict:
    """Read a checkpoint for MMEngine; its log says ``file backend``.

    On the CPU, wherever MMEngine wants it: steps of AdamW that are on a GPU would each
    be waited for in each iteration, and two copies of the tensors would be there.
    """
    checkpoint = read_checkpoint(filename)
    return dict(checkpoint, state_dict=state_dict_of(checkpoint, filename))


def match_initial_weights(cfg: dict, model: nn.Module) -> list[str]:
    """Count the initial weights that fit the model; refuse a file if none does.

    MMEngine would load whatever fits, even nothing, and continue.

    Args:
        cfg (dict): The config of a training that is not resumed.
        model (nn.Module): Its model.

    Returns:
        list[str]: For each file how many tensors fit, part by part.

    Raises:
        UsageError: If a file does not exist.
        SoCoError: If it cannot be read, is not safe to load, or nothing in it
            fits, or if ``load_from`` does not fill what stays as it is.
    """
    found = []
    for key, path, prefix, part in initial_weights(cfg, model):
        try:
            with safe_loading():
                checkpoint = CheckpointLoader.load_checkpoint(path, 'cpu')
        except SoCoError as error:
            raise type(error)(f'{key}: {error}') from None
        except Exception as error:  # of a download
            raise SoCoError(
                f'{key}: {path} cannot be loaded ({type(error).__name__}: {error}).'
            ) from None
        weights = state_dict_of(checkpoint, path)
        names = list(weights)
        weights = {
            name.removeprefix(prefix): value
            for name, value in weights.items()
            if name.startswith(prefix)
        }
        refuse_other_norms(getattr(part, 'backbone', part), weights, f'{key}: {path}')
        state = part.state_dict()
        report = compare_tensors(state, weights)
        filled = sum(len(each.filled) for each in report.parts.values())
        if not filled:
            raise SoCoError(
                f'{key}: none of the {len(names)} tensors of {path} fits: '
                f'{explain_misfit(report, names, list(state))}.'
            )
        if key == 'load_from':
            check_kept(cfg, report, path)
        found.append(
            f'{key}: {filled} of {len(state)} tensors are from {path}'
            f'\n{report.describe()}'
        )
    return found


def check_frozen(cfg: dict) -> None:
    """Refuse a training that would keep random weights as they are.

    Args:
        cfg (dict): The config of a training that is not resumed.

    Raises:
        UsageError: If a part in ``model.frozen_parts`` starts from no weights.
    """
    if cfg.get('load_from') or cfg.get('init_weights'):
        return
    model = cfg['model']
    for name in model.get('frozen_parts', ()):
        parts = in_list(model.get(name))  # a neck may be several
        chosen = in_list(model.get('init_cfg'))
        chosen += [each for part in parts for each in in_list(part.get('init_cfg'))]
        pretrained = any(class_name(each) in PRETRAINED for each in chosen)
        if not pretrained and all(part.get('pretrained') is None for part in parts):
            names = ','.join(trainable_parts(model))
            raise UsageError(
                f'The {name} is frozen (model.frozen_parts), but would start from '
                'random weights. Give weights that fill it with '
                f'--init (init_weights in a config), or train all parts: --train '
                f'{names} (model.frozen_parts=()).'
            )


def in_list(given) -> list[dict]:
    """One config, several or none as a list."""
    if isinstance(given, (list, tuple)):
        return list(given)
    return [given] if given else []


def check_kept(cfg: dict, report: TransferReport, path: str) -> None:
    """Refuse weights that leave a frozen part random.

    Args:
        cfg (dict): The config of the training.
        report (TransferReport): What the weights fill.
        path (str): Their file.

    Raises:
        SoCoError: If a part in ``model.frozen_parts`` is not filled whole.
    """
    for name in (cfg.get('model') or {}).get('frozen_parts', ()):
        missing = [
            tensor
            for part in report.parts.values()
            for tensor, *_ in (*part.new, *part.shape_differs)
            if tensor.startswith(f'{name}.')
            and not tensor.endswith('num_batches_tracked')
        ]
        if missing:
            raise SoCoError(
                f'load_from: {path} does not fill the {name}, which is frozen '
                f'(model.frozen_parts): {missing[0]} and {len(missing) - 1} '
                'more would stay random. Give weights that fill it, or train all parts.'
            )


def initial_weights(cfg: dict, model: nn.Module) -> Iterator[tuple[str, str, str, Any]]:
    """Key, file, prefix of the names in the file, and part of the model."""
    if cfg.get('load_from'):
        yield 'load_from', str(cfg['load_from']), '', model
    for name, part in model.named_modules():
        chosen = getattr(part, 'init_cfg', None) or []
        for each in [chosen] if isinstance(chosen, dict) else chosen:
            if class_name(each) in PRETRAINED:
                prefix = each.get('prefix') or ''
                if prefix and not prefix.endswith('.'):
                    prefix += '.'
                key = '.'.join(filter(None, ['model', name, 'init_cfg']))
                yield key, str(each['checkpoint']), prefix, part


def explain_misfit(report: TransferReport, names: list[str], wanted: list[str]) -> str:
    """Why nothing fits, and what to change."""
    differing = [each for part in report.parts.values() for each in part.shape_differs]
    if differing:
        name, ours, theirs = differing[0]
        return (
            f'{name} has the shape {theirs} there, but {ours} in the '
            'model. Choose the config that it was trained with'
        )
    reason = (
        f'its names look like {names[0] if names else "nothing"}, '
        f'but those of the model like {wanted[0]}'
    )
    if any(f'backbone.{name}' in wanted for name in names):
        reason += (
            '. It holds only a backbone: set model.backbone.init_cfg to '
            "dict(type='Pretrained', checkpoint=...)"
        )
    elif any(f'backbone.{name}' in names for name in wanted):
        reason += ". Add prefix='backbone.' to init_cfg"
    return reason
