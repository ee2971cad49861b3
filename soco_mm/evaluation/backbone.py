from copy import deepcopy
from pathlib import Path

from torch import Tensor, nn

from soco_mm.checkpoint import (
    compare_tensors,
    detector_weights,
    read_checkpoint,
    state_dict_of,
)
from soco_mm.utils import SoCoError

# In C4 models the last stage of the backbone is the R-CNN head.
PREFIXES = ('backbone.', 'roi_head.shared_head.')


def backbone_config(model: dict) -> dict:
    """Config of the whole backbone of a pretrained model.

    Args:
        model (dict): The ``model`` of the pretraining's config.

    Returns:
        dict: Its backbone, with plain batch norm. In a C4 model res5, which
        was the R-CNN head, becomes the last stage again.

    Raises:
        SoCoError: If it has none.
    """
    if 'backbone' not in model:
        raise SoCoError(
            'The config of the pretraining has no model.backbone. '
            'Give the config of this plugin that made the '
            'checkpoint.'
        )
    backbone = deepcopy(model['backbone'])
    if backbone.get('norm_cfg', {}).get('type') == 'SyncBN':
        # The statistics are frozen: there is nothing to synchronise.
        backbone['norm_cfg']['type'] = 'BN'
    res5 = (model.get('roi_head') or {}).get('shared_head')
    if res5:
        backbone.update(
            num_stages=res5['stage'] + 1,
            strides=(*backbone['strides'], res5['stride']),
            dilations=(*backbone['dilations'], res5.get('dilation', 1)),
            out_indices=(res5['stage'],),
        )
    return backbone


def backbone_weights(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of the whole backbone, under its own names.

    Args:
        state_dict (dict[str, Tensor]): Weights of a pretraining, or exported
            ones; in C4 models with ``roi_head.shared_head.layer4.*``.

    Returns:
        dict[str, Tensor]: ``conv1.weight`` to ``layer4.*``.

    Raises:
        SoCoError: If there are none.
    """
    return {
        name[len(prefix) :]: value
        for name, value in detector_weights(state_dict).items()
        for prefix in PREFIXES
        if name.startswith(prefix)
    }


def load_backbone(backbone: nn.Module, path: str | Path) -> None:
    """Fill every tensor of a backbone from a checkpoint.

    Args:
        backbone (nn.Module): The backbone.
        path (str | Path): A checkpoint of a pretraining, or exported weights.

    Raises:
        UsageError: If there is no such file.
        SoCoError: If it cannot be read, or is not of this backbone.
    """
    weights = backbone_weights(state_dict_of(read_checkpoint(path), path))
    wrong = compare_tensors(backbone.state_dict(), weights).mismatches()
    if wrong:
        first, more = ', '.join(wrong[:3]), len(wrong) - 3
        raise SoCoError(
            f'The backbone in {path} does not match the config: {first}'
            f'{f", and {more} more" if more > 0 else ""}. Give the config '
            'that it was pretrained with.'
        )
    backbone.load_state_dict(weights)
