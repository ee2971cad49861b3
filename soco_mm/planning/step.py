"""A step of a config's training on tensors without content."""

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from mmcv.ops import RoIAlign
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from soco_mm.datasets.transforms import ConstructViews, SelectProposals
from soco_mm.datasets.transforms.finding import find_transform
from soco_mm.engine.config import building
from soco_mm.engine.precision import BFLOAT16, MIXED
from soco_mm.models import SoCo
from soco_mm.registry import MODELS
from soco_mm.utils import SoCoError

from .counting import StepCount, StepCounter

# Operators of large maps that autocast computes in float32 on a GPU, and on a CPU in
# bfloat16.
FLOAT32_ON_GPUS = {'layer_norm', 'group_norm', 'softmax', 'log_softmax'}


class GpuAutocast(TorchFunctionMode):
    """Casts the arguments of :data:`FLOAT32_ON_GPUS` as autocast does on a GPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Call a function of PyTorch."""
        kwargs = kwargs or {}
        if torch.is_autocast_enabled('cpu') and func.__name__ in FLOAT32_ON_GPUS:
            args, kwargs = tree_map_only(Tensor, Tensor.float, (args, kwargs))
        return func(*args, **kwargs)


class PooledShape(nn.Module):
    """RoIAlign of MMCV as far as its shapes go; its kernel reads real memory.

    Args:
        layer (RoIAlign): The layer that it stands for.
    """

    def __init__(self, layer: RoIAlign) -> None:
        super().__init__()
        self.output_size = layer.output_size
        self.spatial_scale = layer.spatial_scale

    def forward(self, feat: Tensor, rois: Tensor) -> Tensor:
        """Zeros of the shape of the RoI features, (R, C, S, S)."""
        return _Pool.apply(feat, rois, *self.output_size)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx, feat: Tensor, rois: Tensor, height: int, width: int) -> Tensor:
        ctx.shape = feat.shape
        ctx.save_for_backward(rois)
        return feat.new_zeros((len(rois), feat.shape[1], height, width))

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple:
        return grad.new_zeros(ctx.shape), None, None, None


def is_mixed(cfg: Config) -> bool:
    """Whether a config trains in mixed precision."""
    return cfg.optim_wrapper.get('type') in (MIXED, BFLOAT16)


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config, as one process trains it.

    Raises:
        SoCoError: If it cannot be built, is no pretraining on objects, or has a
            compiled operator of MMCV other than RoIAlign, which needs real memory.
    """
    check_plannable(cfg)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with building('a model'):
            model = revert_sync_batchnorm(MODELS.build(cfg.model)).train()
    finally:
        logging.disable(before)
    for module in model.modules():
        compiled = type(module).__module__.startswith('mmcv.ops.')
        if compiled and not isinstance(module, RoIAlign):
            raise SoCoError(
                f"The training cannot be planned: {type(module).__name__} is MMCV's "
                'own operator, whose memory and time are not known without running it.'
            )
    return model


def check_plannable(cfg: Config) -> None:
    """Refuse what is no pretraining on objects.

    Raises:
        SoCoError: If it is refused.
    """
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    name = str(cfg.get('model', {}).get('type'))
    model = MODELS.get(name)
    if not (isinstance(model, type) and issubclass(model, SoCo)):
        wrong = f'the model is {name}'
    elif None in view_transforms(dataset.get('pipeline') or ()):
        wrong = 'its pipeline lacks SelectProposals or ConstructViews'
    else:
        return
    raise SoCoError(
        f'{cfg.filename} cannot be planned: only pretrainings of SoCo on objects can '
        f'be, but {wrong}.'
    )


def view_transforms(pipeline: Sequence[dict]) -> tuple[dict | None, dict | None]:
    """The transforms that choose objects and make their views; None if missing."""
    select = find_transform(pipeline, SelectProposals)
    return select, find_transform(pipeline, ConstructViews)


@contextmanager
def without_content(model: nn.Module) -> Iterator[None]:
    """Let a model compute shapes only; it cannot be used afterwards."""
    with FakeTensorMode():
        known: dict[int, Tensor] = {}

        def empty(value: Tensor) -> Tensor:
            if id(value) not in known:
                fake = torch.empty_strided(
                    value.shape, value.stride(), dtype=value.dtype
                )
                if isinstance(value, nn.Parameter):
                    fake = nn.Parameter(fake, value.requires_grad)
                known[id(value)] = fake
            return known[id(value)]

        held = []  # so that no two values have the same id
        for module in list(model.modules()):
            for name, child in list(module.named_children()):
                if isinstance(child, RoIAlign):
                    setattr(module, name, PooledShape(child))
            for values in (module._parameters, module._buffers):
                for name, value in values.items():
                    if value is not None:
                        held.append(value)
                        values[name] = empty(value)
        yield


def make_batch(cfg: Config, batch_size: int) -> dict:
    """A collated batch of the shapes that a config's data set gives."""
    select, construct = view_transforms(cfg.train_dataloader.dataset.pipeline)
    views = [view['size'] for view in construct['views']]
    objects = select['num_proposals'] + select.get('whole_view', False)
    objects *= len(select.get('view_sets') or [0])
    return dict(
        views=[
            torch.empty(batch_size, size, size, 3, dtype=torch.uint8) for size in views
        ],
        boxes=[torch.empty(batch_size, objects, 4) for _ in views],
        valid=[torch.empty(batch_size, objects, dtype=torch.bool) for _ in views],
    )


def count_step(cfg: Config, model: nn.Module, batch_size: int) -> StepCount:
    """Count forward and backward pass of one batch on one GPU.

    The model runs on tensors that have shapes and no content, so memory and time
    do not depend on the batch. Types in mixed precision are those of autocast on a
    GPU.

    Args:
        cfg (Config): The config.
        model (nn.Module): Its model; not changed.
        batch_size (int): Images of the batch.

    Raises:
        SoCoError: If what the model computes depends on the content.
    """
    model = copy.deepcopy(model)
    if isinstance(model, SoCo):
        # As on a GPU: only a CPU knows the boxes, and leaves out idle maps.
        model.idle_levels = lambda boxes: [0] * len(boxes)  # type: ignore[method-assign]
        if model.rpn_head is not None:
            model.rpn_loss = partial(layers_of_rpn, model.rpn_head)  # type: ignore[method-assign]
    try:
        with without_content(model), StepCounter(model) as counter:
            data = model.data_preprocessor(make_batch(cfg, batch_size), True)
            with (
                torch.autocast('cpu', torch.bfloat16, enabled=is_mixed(cfg)),
                GpuAutocast(),
            ):
                losses = model(**data, mode='loss')
            loss, _ = model.parse_losses(losses)
            loss.backward()
    except (DataDependentOutputException, DynamicOutputShapeException) as error:
        raise SoCoError(
            f'The training cannot be planned: what {cfg.model.type} computes depends '
            f'on the images ({error}), as the levels of the boxes in detectors whose '
            'towers differ from level to level.'
        ) from None
    return counter.count


def layers_of_rpn(
    rpn_head: nn.Module, feats: list[tuple[Tensor]], *_: Any
) -> dict[str, Tensor]:
    """Run the layers of an RPN without its targets, in place of its losses."""
    levels = rpn_head.prior_generator.num_levels
    outs = [rpn_head(maps[:levels]) for maps in feats]
    return dict(
        loss_rpn=sum(each.sum() for view in outs for out in view for each in out)
    )
