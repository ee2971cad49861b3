"""Whether a detector computes what was pretrained."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from soco_mm.models.dense_heads.object_dense_head import (
    find_towers,
    has_own_levels,
    run_tower,
)
from soco_mm.utils import ImageError, SoCoError, read_image

from .signatures import nothing_frozen


def load_input(image: str | Path | None) -> torch.Tensor:
    """A normalised image for the comparison of features, (1, 3, H, W)."""
    try:
        pixels = None if image is None else read_image(image)
    except ImageError:  # deleted since; noise serves as well
        pixels = None
    if pixels is None:
        return torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    pixels = torch.from_numpy(pixels).permute(2, 0, 1).float()
    pixels = torch.nn.functional.interpolate(
        pixels[None], (224, 224), mode='bilinear', antialias=True
    )
    mean = pixels.mean((2, 3), keepdim=True)
    return (pixels - mean) / pixels.std((2, 3), keepdim=True).clamp(min=1)


@torch.no_grad()
def compare_features(
    pretrained: nn.Module,
    detector: nn.Module,
    image: torch.Tensor,
    with_neck: bool = True,
    with_head: bool = False,
) -> float:
    """Compare backbone and neck, or res5, of both on an image.

    The stages and levels that both have are compared, by number.

    Args:
        pretrained (nn.Module): The pretrained model, in evaluation mode.
        detector (nn.Module): The detector, in evaluation mode.
        image (Tensor): A normalised image, (1, 3, H, W).
        with_neck (bool): Compare the levels of the neck too. Defaults to
            True.
        with_head (bool): Compare what the towers of a one-stage head make of
            them too. Defaults to False.

    Returns:
        float: The largest difference, relative to the largest value.

    Raises:
        SoCoError: If the features differ by more than rounding.
    """
    which = (with_neck, same_necks(pretrained, detector), with_head)
    ours = features(pretrained, image, *which)
    try:
        theirs = features(detector, image, *which)
    except Exception as error:  # it is other people's code
        raise SoCoError(
            "The detector's backbone and neck cannot be compared with the "
            f'pretrained ones, since they cannot run: {error}'
        ) from error
    both = [name for name in ours if name in theirs]
    if not both:
        raise SoCoError(
            'None of the stages that the detector reads was '
            f'pretrained: {", ".join(theirs)}.'
        )
    largest = 0.0
    for name in both:
        if ours[name].shape != theirs[name].shape:
            raise SoCoError(
                f"The detector's {name} has the shape "
                f"{list(theirs[name].shape)}, but the pretrained model's "
                f'{list(ours[name].shape)}: {explain_difference(name)}.'
            )
        scale = ours[name].abs().max().clamp(min=1e-12)
        difference = (ours[name] - theirs[name]).abs().max() / scale
        if not difference < 1e-4:
            raise SoCoError(
                "The detector's features differ from the pretrained model's: "
                f'{name} by {difference:.1e}, although the weights are the '
                f'same: {explain_difference(name)}.'
            )
        largest = max(largest, difference.item())
    return largest


def explain_difference(name: str) -> str:
    """Where to look if a stage or a level differs."""
    if 'bbox_head' in name:
        return 'its head has other settings; set those of the pretraining'
    if name.startswith('P'):
        return (
            'its neck is of another class, or has other settings (norm_cfg, '
            'upsample_cfg, activations); set those of the pretraining'
        )
    return (
        'its backbone has other settings (style, strides, dilations, dcn, '
        'norm_cfg); set those of the pretraining, or add --adapt, which '
        'sets style and norms'
    )


def same_necks(pretrained: nn.Module, detector: nn.Module) -> bool:
    """Whether all of the detector's neck was pretrained, by its names."""
    necks = [getattr(each, 'neck', None) for each in (pretrained, detector)]
    if None in necks:
        return False
    ours, theirs = (set(each.state_dict()) for each in necks)
    return type(necks[0]) is type(necks[1]) and ours == theirs


def features(
    net: nn.Module,
    image: torch.Tensor,
    with_neck: bool = True,
    whole: bool = False,
    with_head: bool = False,
) -> dict:
    """Feature maps of a model by the names of their stages and levels.

    Args:
        net (nn.Module): The model.
        image (Tensor): A normalised image, (1, 3, H, W).
        with_neck (bool): Those of the neck too. Defaults to True.
        whole (bool): All levels of the neck. Defaults to False, those of an
            FPN that belong to a stage of the backbone.
        with_head (bool): What the towers of a one-stage head make of them too.
            Defaults to False.
    """
    stages = net.backbone(image)
    found = {
        f'C{index + 2}': map_
        for index, map_ in zip(stage_numbers(net, len(stages)), stages)
    }
    shared = getattr(getattr(net, 'roi_head', None), 'shared_head', None)
    neck = getattr(net, 'neck', None)
    if neck is not None:
        if with_neck:
            maps = list(neck(stages))
            if not whole:
                # Levels above those of the backbone start from random weights.
                maps = maps[: len(getattr(neck, 'lateral_convs', ()))]
            names = [f'P{start_level(net) + level + 2}' for level in range(len(maps))]
            found.update(zip(names, maps))
            if with_head:
                found.update(head_features(net, names, maps))
    elif shared is not None:
        # The norm after res5 of ResLayerExtraNorm starts from random weights.
        res5 = getattr(shared, 'layer4', shared)
        found['C5'] = res5(stages[-1])
    return found


def head_features(net: nn.Module, names: list[str], maps: list) -> dict:
    """What the towers of a one-stage head make of each level."""
    head = getattr(net, 'bbox_head', None)
    found = {}
    for tower in find_towers(head) if head is not None else ():
        layers = getattr(head, tower)
        for level, (name, map_) in enumerate(zip(names, maps)):
            if min(map_.shape[-2:]) < 3:
                continue  # deformable convolutions refuse such maps on a CPU
            own = layers[level] if has_own_levels(layers) else layers
            found[f'{name}, bbox_head.{tower}'] = run_tower(own, map_)
    return found


def stage_numbers(net: nn.Module, num_stages: int = 4) -> list:
    """The stages that a backbone outputs, counted from 0."""
    return list(getattr(net.backbone, 'out_indices', range(num_stages)))


def start_level(net: nn.Module) -> int:
    """The stage of the backbone at which the neck of a model starts."""
    neck = getattr(net, 'neck', None)
    if not hasattr(neck, 'lateral_convs'):
        return 0
    return stage_numbers(net)[neck.start_level]


def check_normalization(
    pretrained: nn.Module, detector: nn.Module, in_pipeline: Mapping | None
) -> None:
    """Refuse a detector that normalises images differently.

    Args:
        pretrained (nn.Module): The pretrained model.
        detector (nn.Module): The detector.
        in_pipeline (Mapping, optional): What its pipeline normalises images with,
            see :func:`pipeline_pixels`; None is not checked.

    Raises:
        SoCoError: If it does.
    """
    ours = pretrained.data_preprocessor
    theirs = getattr(detector, 'data_preprocessor', None)
    normal = getattr(theirs, '_enable_normalize', False)
    if in_pipeline and normal:
        raise SoCoError(
            'The detector normalises images twice, in its pipeline (Normalize) and in '
            'model.data_preprocessor. Remove one of them from its config.'
        )
    if in_pipeline is None and not normal:
        return
    # Without a mean it takes images as they are, as YOLOX does.
    pixels = dict(mean=ours.mean.new_zeros(3, 1, 1), std=ours.mean.new_ones(3, 1, 1))
    swaps = getattr(theirs, '_channel_conversion', False)
    if normal:
        pixels = dict(mean=theirs.mean, std=theirs.std)
    elif in_pipeline:
        for key, value in pixels.items():
            value[:, 0, 0] = value.new_tensor(in_pipeline[key])
        swaps = swaps != in_pipeline['bgr_to_rgb']
    wrong = [
        f'{name} {rounded(value)}, not {rounded(getattr(ours, name))}'
        for name, value in pixels.items()
        if not torch.allclose(value, getattr(ours, name), atol=0.5)
    ]
    if swaps == ours.rgb_to_bgr:
        wrong.append('RGB, not BGR' if ours.rgb_to_bgr else 'BGR, not RGB')
    if wrong:
        raise SoCoError(
            'The detector normalises images differently from the '
            f'pretraining ({"; ".join(wrong)}). '
            + (
                'Set Normalize of its pipelines.'
                if in_pipeline
                else 'Set model.data_preprocessor, or add --adapt.'
            )
        )


def rounded(values: Tensor) -> list[float]:
    """Mean or standard deviation of each channel, rounded."""
    return [round(each, 1) for each in values.flatten().tolist()]


def start_notes(detector: nn.Module) -> list[str]:
    """Notes on a backbone that is not handed over."""
    init = getattr(detector.backbone, 'init_cfg', None)
    start = init.get('checkpoint') if isinstance(init, Mapping) else None
    return [
        'note: the backbone is not handed over: it starts from '
        f'{start or "random weights"}, as the config says'
    ]


def frozen_notes(detector: nn.Module) -> list[str]:
    """Notes on pretrained parts that a detector would keep frozen."""
    frozen = []
    backbone = detector.backbone
    shared = getattr(getattr(detector, 'roi_head', None), 'shared_head', None)
    stages = getattr(backbone, 'frozen_stages', -1)
    if stages > nothing_frozen(type(backbone)):
        frozen.append(f'backbone.frozen_stages={stages}')
    for name, part in (('backbone', backbone), ('shared_head', shared)):
        if getattr(part, 'norm_eval', False):
            frozen.append(f'{name}.norm_eval=True')
        norms = [
            module.weight
            for module in (part.modules() if part else ())
            if isinstance(module, nn.modules.batchnorm._BatchNorm)
            and module.weight is not None
        ]
        if norms and not any(weight.requires_grad for weight in norms):
            frozen.append(f'{name}.norm_cfg.requires_grad=False')
    if not frozen:
        return []
    return [
        'note: the config freezes pretrained parts '
        f'({", ".join(frozen)}), as is usual for supervised weights; '
        "SoCo's are meant to be trained as a whole, which --adapt sets"
    ]
