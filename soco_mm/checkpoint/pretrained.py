"""A pretrained model out of a checkpoint."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError
from soco_mm.utils.class_names import class_name
from soco_mm.utils.stretch import Stretch, as_percentiles, load_images
from soco_mm.utils.texts import first_line

from .config_text import config_text, read_assignment
from .handed_over import keep_parts, read_parts
from .io import read_checkpoint, state_dict_of
from .model_config import model_of, read_model, says_model
from .origin import Origin
from .transfer import compare_tensors, detector_weights

# The key of a config that names the parts that are handed over.
HANDED_OVER = 'handed_over'
# Parts that no detector has a place for, and the start of their names.
PRETEXT_PARTS = {
    'target network': 'target_net.',
    'projector': 'projector.',
    'predictor': 'head.',
    'head of displaced boxes': 'box_head.',
}


@dataclass
class Pretrained:
    """A pretrained model: its config, its weights and its network.

    Attributes:
        model (Config): The ``model`` of the pretraining's config.
        weights (dict[str, Tensor]): Those of backbone, neck and R-CNN head,
            by MMDetection's names.
        source (str): The checkpoint, for messages.
        stretch (tuple, optional): The percentiles with which images of more
            than 8 bits were reduced; None if they were not stretched.
        left_out (dict[str, int]): Number of tensors of each part of the
            pretext task, which no detector has a place for.
        handed_over (tuple[str], optional): The parts that its recipe hands
            over, see :func:`read_parts`; None for all.
        held (tuple[str], optional): The parts that there are weights of; None for
            all.

    Example:
        >>> from soco_mm.checkpoint.pretrained import Pretrained
        >>> from soco_mm.engine.config import load_config
        >>> model = load_config('soco_r18_fpn_quick').model
        >>> pretrained = Pretrained.untrained(model)
        >>> pretrained.weights['backbone.conv1.weight'].shape
        torch.Size([64, 3, 7, 7])
    """

    model: Config
    weights: dict[str, Tensor]
    source: str
    stretch: Stretch = None
    left_out: dict[str, int] = field(default_factory=dict)
    handed_over: tuple[str, ...] | None = None
    held: tuple[str, ...] | None = None

    @classmethod
    def read(
        cls,
        checkpoint: str | Path,
        cfg: Config | None = None,
        *,
        parts: Sequence[str] | None = None,
        fallback: Config | None = None,
    ) -> 'Pretrained':
        """Read a checkpoint of a pretraining, or exported weights.

        Args:
            checkpoint (str | Path): The checkpoint.
            cfg (Config, optional): The config of the pretraining. Defaults to
                None, the one in the checkpoint.
            parts (Sequence[str], optional): Those of the model that will be
                built. Defaults to None, all.
            fallback (Config, optional): The config where the checkpoint has
                none. Defaults to None, which refuses such a checkpoint.

        Returns:
            Pretrained: The model; its network is built when it is asked for.

        Raises:
            UsageError: If there is no such file.
            SoCoError: If it cannot be read, or does not say which model it is
                of.
        """
        read = read_checkpoint(checkpoint)
        state_dict = state_dict_of(read, checkpoint)
        left_out = {
            part: sum(name.startswith(prefix) for name in state_dict)
            for part, prefix in PRETEXT_PARTS.items()
        }
        if cfg is None and not says_model(read):
            cfg = fallback
        if cfg is None:
            model = model_of(read, checkpoint, parts)
        else:
            model = given_model(cfg.model, read, checkpoint)
        return cls(
            model,
            detector_weights(state_dict),
            str(checkpoint),
            stretch_of(read, cfg),
            {part: number for part, number in left_out.items() if number},
            handed_over_by(read, cfg),
            read_parts((read.get('meta') or {}).get('parts'), 'meta.parts'),
        )

    @classmethod
    def untrained(
        cls,
        model: Config,
        stretch: Stretch = None,
        handed_over: Sequence[str] | None = None,
    ) -> 'Pretrained':
        """A model with random weights, to see whether a detector fits.

        Args:
            model (Config): The ``model`` of the pretraining's config.
            stretch (tuple, optional): See :class:`Pretrained`. Defaults to
                None.
            handed_over (Sequence[str], optional): The same. Defaults to None.

        Returns:
            Pretrained: The model. Its norm layers differ from each other, as
            after a training: the values that all of them start with would
            hide that two norms are not the same, and the zeros of the last
            norm of each block hide the whole block.
        """
        net = revert_sync_batchnorm(MODELS.build(model)).eval()
        generator = torch.Generator().manual_seed(0)
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                for values in (module.weight.data, module.running_var):
                    values.uniform_(0.5, 1, generator=generator)
                for values in (module.bias.data, module.running_mean):
                    values.normal_(generator=generator)
        weights = detector_weights(net.state_dict())
        pretrained = cls(model, weights, 'the config', stretch)
        pretrained.handed_over = read_parts(handed_over, HANDED_OVER)
        pretrained.net = net
        return pretrained

    @cached_property
    def net(self) -> nn.Module:
        """nn.Module: The network in evaluation mode; backbone, neck and R-CNN
        head are filled.

        Raises:
            SoCoError: If it cannot be built, is not a pretraining of this
                plugin, or the weights are of another architecture.
        """
        try:
            net = revert_sync_batchnorm(MODELS.build(self.model))
        except Exception as error:  # components of any library
            raise SoCoError(
                f'The model of {self.source} cannot be built: {first_line(error)}. '
                'Give the config of this plugin that it was pretrained with.'
            ) from error
        if not isinstance(net, MODELS.get('SoCo')):
            raise SoCoError(
                f'{self.source} holds the model {type(net).__name__}, which was '
                'not pretrained with this plugin.'
            )
        net.eval()
        own = detector_weights(net.state_dict())
        if self.held is not None:  # an export of some parts
            own, _ = keep_parts(own, self.held, self.source)
        wrong = compare_tensors(own, self.weights).mismatches()
        if wrong:
            more = f', and {len(wrong) - 1} more' * (len(wrong) > 1)
            raise SoCoError(
                'The checkpoint has another architecture than the config: '
                f'{wrong[0]}{more}. Give the config it was trained with.'
            )
        net.load_state_dict(self.weights, strict=False)
        return net


def given_model(model: Config, read: dict, checkpoint: str | Path) -> Config:
    """The model of a config, with what the checkpoint itself says of its images.

    Raises:
        SoCoError: If it was trained with a backbone that computes something else.
    """
    saved = read_model(read) or {}
    if saved.get('backbone'):
        there = Origin(backbone=saved['backbone'])
        if difference := there.explain_difference(model['backbone']):
            raise SoCoError(f'{checkpoint} is not of this config: {difference}.')
    pixels = saved.get('data_preprocessor')
    if pixels and class_name(pixels).endswith('ViewDataPreprocessor'):
        model = copy.deepcopy(model)
        model['data_preprocessor'] = pixels
    return model


def handed_over_by(checkpoint: dict, cfg: Config | None) -> tuple[str, ...] | None:
    """The parts that a recipe hands over; None if it does not say.

    Args:
        checkpoint (dict): A checkpoint of a pretraining.
        cfg (Config, optional): The config, whose word counts before that of
            the one in the checkpoint.

    Raises:
        UsageError: If one of them is unknown.
    """
    if cfg is not None:
        return read_parts(cfg.get(HANDED_OVER), HANDED_OVER)
    meta = checkpoint.get('meta') or {}
    parts: Any = meta.get('parts') or read_assignment(
        config_text(checkpoint), HANDED_OVER
    )
    return read_parts(parts, HANDED_OVER)


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
        return as_percentiles(meta['stretch'])
    loader: Any = read_assignment(config_text(checkpoint), 'train_dataloader')
    if loader is None and cfg is not None:
        loader = cfg.get('train_dataloader')
    try:
        found = list(load_images(loader['dataset']['pipeline']))
    except (KeyError, TypeError):
        return None
    return as_percentiles(found[0].get('stretch')) if found else None
