"""Which backbone some weights are of, whatever library named them."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

# What may stand before the names of a backbone.
PREFIX = re.compile(
    r'^((module|model|backbone|bottom_up|body|encoder(_q)?|net|trunk|online_net)\.)+'
)
# A block of stage 3 of a ResNet, by the names of torchvision and of detectron2.
STAGE_3 = re.compile(r'(?:layer3|res4)\.(\d+)\.')
BOTTLENECKS = {6: 50, 23: 101, 36: 152}
BASIC_BLOCKS = {2: 18, 6: 34}
SWINS = {(96, 2): 'Swin-T', (96, 6): 'Swin-S', (128, 6): 'Swin-B', (192, 6): 'Swin-L'}
# How a tensor is named that only this family has; the first that fits is taken.
FAMILIES = (
    ('MobileNetV2', r'features\.17\.conv\.\d|layer7\.0\.expand_conv\.'),
    ('DenseNet', r'features\.denseblock'),
    (
        'EfficientNet or MobileNetV3',
        r'blocks\.\d\.\d\.se\.conv_reduce|_blocks\.0\.|features\.1\.(0\.)?block\.',
    ),
    ('HRNet', r'stage4\.0\.branches\.'),
    ('ViT', r'blocks\.0\.attn\.qkv|layers\.encoder_layer_0\.'),
)
# The first convolutions of these families, and tensors of timm's MobileNetV2 whose
# names other families have too.
RESNET_STEM, VGG_STEM = (64, 3, 7, 7), (64, 3, 3, 3)
TIMM_MOBILENET = {
    'blocks.1.0.conv_pw.weight': (96, 16, 1, 1),
    'blocks.6.0.conv_pwl.weight': (320, 960, 1, 1),
}


def recognise_backbone(weights: Mapping[str, Tensor]) -> str | None:
    """Name the backbone that weights are of.

    Args:
        weights (Mapping[str, Tensor]): Weights as a library names them.

    Returns:
        str, optional: For example ``ResNet-50``, ``Swin-T`` or
        ``MobileNetV2``; None if it is not known.

    Example:
        >>> import torch
        >>> from soco_mm.checkpoint.recognise import recognise_backbone
        >>> recognise_backbone({'features.denseblock1.conv.weight': torch.ones(1)})
        'DenseNet'
    """
    bare = {PREFIX.sub('', name): value for name, value in weights.items()}
    for find in (find_resnet, find_swin, find_convnext):
        if name := find(bare):
            return name
    for name, pattern in FAMILIES:
        if any(map(re.compile(pattern).match, bare)):
            return name
    shapes = {name: tuple(value.shape) for name, value in bare.items()}
    if TIMM_MOBILENET.items() <= shapes.items():
        return 'MobileNetV2'
    second = {'features.2.weight', 'features.3.weight'}  # with batch norm between
    if shapes.get('features.0.weight') == VGG_STEM and second & shapes.keys():
        return 'VGG'
    return None


def find_resnet(bare: Mapping[str, Tensor]) -> str | None:
    """The depth of a ResNet, and whether it is a wider relative."""
    blocks = {int(found[1]) for found in map(STAGE_3.match, bare) if found}
    first = [bare.get(f'{stage}.0.conv2.weight') for stage in ('layer1', 'res2')]
    conv = next((each for each in first if each is not None), None)
    if not blocks or conv is None or conv.ndim != 4:
        return None
    depths = BASIC_BLOCKS
    if any(f'{stage}.0.conv3.weight' in bare for stage in ('layer1', 'res2')):
        depths = BOTTLENECKS
    depth = depths.get(len(blocks))
    if depth is None:
        return None
    if conv.shape[0] != conv.shape[1]:
        return f'ResNeXt-{depth}'
    if len(conv) != 64:
        return f'ResNet-{depth} of another width'
    stem = next(
        (bare[n] for n in ('conv1.weight', 'stem.conv1.weight') if n in bare), None
    )
    usual = stem is not None and tuple(stem.shape) == RESNET_STEM
    return f'ResNet-{depth}' if usual else f'ResNet-{depth} with another stem'


def find_swin(bare: Mapping[str, Tensor]) -> str | None:
    """The size of a Swin Transformer."""
    if not ends(bare, 'relative_position_bias_table'):
        return None
    embedding = next(
        (
            value
            for name, value in bare.items()
            if re.match(
                r'patch_embed\.proj(ection)?\.weight|features\.0\.0\.weight', name
            )
        ),
        None,
    )
    third = r'(?:stages|layers)\.2\.blocks\.(\d+)\.|features\.5\.(\d+)\.'
    blocks = {found[1] or found[2] for n in bare if (found := re.match(third, n))}
    width = 0 if embedding is None else len(embedding)
    return SWINS.get((width, len(blocks) // 3), 'Swin Transformer')


def find_convnext(bare: Mapping[str, Tensor]) -> str | None:
    """The size of a ConvNeXt."""
    if not (ends(bare, 'depthwise_conv.weight', 'conv_dw.weight', 'layer_scale')):
        return None
    stage = r'stages\.2\.(?:blocks\.)?(\d+)\.|features\.5\.(\d+)\.'
    blocks = {found[1] or found[2] for n in bare if (found := re.match(stage, n))}
    stems = ('downsample_layers.0.0.weight', 'stem.0.weight', 'features.0.0.weight')
    stem = next((bare[name] for name in stems if name in bare), None)
    if not blocks or stem is None or stem.shape[-1] != 4:
        return None
    if len(stem) == 96:
        return 'ConvNeXt-T' if len(blocks) == 9 else 'ConvNeXt-S'
    return 'ConvNeXt'


def ends(names: Iterable[str], *ends: str) -> bool:
    """Whether a name ends so."""
    return any(name.endswith(ends) for name in names)
