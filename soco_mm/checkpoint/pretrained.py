"""A pretrained model out of a checkpoint."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm

from soco_mm.checkpoint import compare_tensors, detector_weights, read_value
from soco_mm.datasets.stretching import Stretch
from soco_mm.detectors.inheriting import first_line
from soco_mm.models import SoCo
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError
from soco_mm.utils.stretch import check_stretch, load_images


def stretch_of(checkpoint: dict, cfg: Config | None = None) -> Stretch:
    """How a model was trained to read images.

    Args:
        checkpoint (dict): A checkpoint of a pretraining, or exported weights.
        cfg (Config, optional): The config, where the checkpoint has none.
            Defaults to None.

    Returns:
        tuple: The percentiles; None if images are not stretched.
    """
    meta = checkpoint.get('meta') or {}
    if 'stretch' in meta:
        return check_stretch(meta['stretch'])
    loader = read_value(str(meta.get('cfg', '')), 'train_dataloader')
    if loader is None and cfg is not None:
        loader = cfg.get('train_dataloader')
    try:
        found = list(load_images(loader['dataset']['pipeline']))
    except (KeyError, TypeError):
        return None
    return check_stretch(found[0].get('stretch')) if found else None


def build_pretrained(
    model: Config, weights: dict, checkpoint: str | Path
) -> torch.nn.Module:
    """Build the pretrained model and fill backbone, neck and R-CNN head.

    Args:
        model (Config): The ``model`` of the pretraining's config.
        weights (dict[str, Tensor]): Those of its checkpoint.
        checkpoint (str | Path): The file, for messages.

    Returns:
        nn.Module: The model.

    Raises:
        SoCoError: If it cannot be built, is no pretraining of this plugin, or
            the weights are of another architecture.
    """
    try:
        net = revert_sync_batchnorm(MODELS.build(model))
    except Exception as error:  # components of any library
        raise SoCoError(
            f'The model of {checkpoint} cannot be built: {first_line(error)}. '
            'Give the config of this plugin that it was pretrained with.'
        ) from error
    if not isinstance(net, SoCo):
        raise SoCoError(
            f'{checkpoint} is of the model {type(net).__name__}, and not of '
            'one that was pretrained with this plugin.'
        )
    net.eval()
    own = detector_weights(net.state_dict())
    report = compare_tensors(own, weights)
    wrong = report.mismatches()
    if wrong:
        more = f', and {len(wrong) - 1} more' * (len(wrong) > 1)
        raise SoCoError(
            'The checkpoint is of another architecture than the config: '
            f'{wrong[0]}{more}. Give the config it was trained with.'
        )
    net.load_state_dict(weights, strict=False)
    return net
