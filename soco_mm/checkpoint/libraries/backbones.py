"""Bare backbones: MMPretrain's and timm's names."""

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from soco_mm.utils import SoCoError

from .architecture import backbone_type, check_resnet, check_settings
from .parts import Parts, no_place

SWIN = dict(
    in_channels=3,
    patch_size=4,
    window_size=7,
    mlp_ratio=4,
    strides=(4, 2, 2, 2),
    qkv_bias=True,
    qk_scale=None,
    patch_norm=True,
    use_abs_pos_embed=False,
    act_cfg=dict(type='GELU'),
    norm_cfg=dict(type='LN'),
)
SWIN_NO_MATTER = (
    'type',
    'embed_dims',
    'depths',
    'num_heads',
    'out_indices',
    'drop_rate',
    'attn_drop_rate',
    'drop_path_rate',
    'with_cp',
    'pretrained',
    'convert_weights',
    'frozen_stages',
    'init_cfg',
    'pretrain_img_size',
)
# embed_dims, depths and num_heads of those in timm.
SWIN_NAMES = {
    (96, (2, 2, 6, 2), (3, 6, 12, 24)): 'swin_tiny_patch4_window7_224',
    (96, (2, 2, 18, 2), (3, 6, 12, 24)): 'swin_small_patch4_window7_224',
    (128, (2, 2, 18, 2), (4, 8, 16, 32)): 'swin_base_patch4_window7_224',
    (192, (2, 2, 18, 2), (6, 12, 24, 48)): 'swin_large_patch4_window7_224',
}
CONVNEXT_NO_MATTER = (
    'type',
    'arch',
    'out_indices',
    'drop_path_rate',
    'layer_scale_init_value',
    'gap_before_final_norm',
    'frozen_stages',
    'with_cp',
    'init_cfg',
)
CONVNEXT_NAMES = ('tiny', 'small', 'base', 'large', 'xlarge')
SWIN_RULES = (
    (r'patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'patch_embed\.norm\.', 'patch_embed.norm.'),
    (r'stages\.(\d)\.blocks\.(\d+)\.(norm\d)\.', r'layers.\1.blocks.\2.\3.'),
    (r'stages\.(\d)\.blocks\.(\d+)\.attn\.w_msa\.', r'layers.\1.blocks.\2.attn.'),
    (
        r'stages\.(\d)\.blocks\.(\d+)\.ffn\.layers\.0\.0\.',
        r'layers.\1.blocks.\2.mlp.fc1.',
    ),
    (r'stages\.(\d)\.blocks\.(\d+)\.ffn\.layers\.1\.', r'layers.\1.blocks.\2.mlp.fc2.'),
    (r'norm3\.', 'norm.'),
)
# Norms of individual stages, which timm does not have, and a table that it
# computes itself.
SWIN_LEFT_OUT = re.compile(r'norm[0-2]\.|.*\.relative_position_index$')
# The merging of four pixels at the end of a stage.
SWIN_MERGING = re.compile(r'stages\.(\d)\.downsample\.')
CONVNEXT_RULES = (
    (r'downsample_layers\.0\.', 'stem.'),
    (r'downsample_layers\.(\d)\.', r'stages.\1.downsample.'),
    (r'stages\.(\d)\.(\d+)\.depthwise_conv\.', r'stages.\1.blocks.\2.conv_dw.'),
    (r'stages\.(\d)\.(\d+)\.pointwise_conv(\d)\.', r'stages.\1.blocks.\2.mlp.fc\3.'),
    (r'stages\.(\d)\.(\d+)\.(norm\.|gamma)', r'stages.\1.blocks.\2.\3'),
)
# timm has one norm after the pooling, not the norm of the last stage.
CONVNEXT_LEFT_OUT = re.compile(r'norm\d\.')


def mmpretrain_weights(parts: Parts, model: Mapping) -> Parts:
    """The backbone under MMPretrain's and MMClassification's names.

    Args:
        parts (dict): See :func:`split_parts`.
        model (Mapping): The ``model`` of the pretraining's config.

    Returns:
        dict[str, dict[str, Tensor]]: The parts it is from, by full names.

    Raises:
        SoCoError: If they have no such backbone.
    """
    kind = backbone_type(model)
    if kind == 'ResNet':
        check_resnet(model, 'mmpretrain', any_style=True)
    elif kind not in ('SwinTransformer', 'ConvNeXt'):
        raise SoCoError(
            'The format mmpretrain supports ResNet, SwinTransformer and '
            f'ConvNeXt, but model.backbone is {model["backbone"]["type"]}. '
            'Choose the format safetensors.'
        )
    return by_part(parts, lambda name, value: (f'backbone.{name}', value))


def timm_model(model: Mapping) -> str:
    """Name of the model in timm that the backbone is.

    Args:
        model (Mapping): The ``model`` of the pretraining's config.

    Returns:
        str: For example ``resnet50``.

    Raises:
        SoCoError: If timm has no such model.
    """
    backbone, kind = model['backbone'], backbone_type(model)
    if kind == 'ResNet':
        check_resnet(model, 'timm')
        return f'resnet{backbone["depth"]}'
    if kind == 'SwinTransformer':
        check_settings(backbone, SWIN, 'model.backbone', 'timm', SWIN_NO_MATTER)
        sizes = (
            backbone.get('embed_dims', 96),
            tuple(backbone.get('depths', (2, 2, 6, 2))),
            tuple(backbone.get('num_heads', (3, 6, 12, 24))),
        )
        if sizes in SWIN_NAMES:
            return SWIN_NAMES[sizes]
    if kind == 'ConvNeXt':
        check_settings(backbone, {}, 'model.backbone', 'timm', CONVNEXT_NO_MATTER)
        arch = backbone.get('arch', 'tiny')
        if arch in CONVNEXT_NAMES:
            return f'convnext_{arch}'
    raise SoCoError(
        f'The format timm supports ResNet, SwinTransformer and '
        f'ConvNeXt of the usual sizes, but model.backbone is '
        f'{dict(backbone)}. Choose the format safetensors.'
    )


def timm_weights(parts: Parts, model: Mapping) -> Parts:
    """The backbone under timm's names.

    For a ResNet they are also torchvision's. timm merges the four pixels of a
    Swin in a different order.

    Args:
        parts (dict): See :func:`split_parts`.
        model (Mapping): The ``model`` of the pretraining's config.

    Returns:
        dict[str, dict[str, Tensor]]: The parts it is from, by full names.

    Raises:
        SoCoError: If timm has no such model.
    """
    timm_model(model)
    convert = dict(
        ResNet=lambda name, value: (name, value),
        SwinTransformer=swin_entry,
        ConvNeXt=convnext_entry,
    )
    return by_part(parts, convert[backbone_type(model)])


def by_part(parts: Parts, convert: Callable) -> Parts:
    """Rename the entries of the whole backbone; those without a name are left out.

    Args:
        parts (dict): See :func:`split_parts`.
        convert (Callable): Takes name and tensor; returns both, or None.

    Returns:
        dict[str, dict[str, Tensor]]: By part.
    """
    renamed: Parts = {}
    for part in ('backbone', 'shared head'):
        entries: dict[str, Tensor] = {}
        for name, value in parts.get(part, {}).items():
            if (entry := convert(name, value)) is not None:
                entries[entry[0]] = entry[1]
        if entries:
            renamed[part] = entries
    return renamed


def swin_entry(name: str, value: Tensor) -> tuple | None:
    """Name and value of a Swin's tensor in timm."""
    renamed = swin_name(name)
    return None if renamed is None else (renamed, swin_pixels(name, value))


def swin_name(name: str, merging: int = 1) -> str | None:
    """Name of a Swin's tensor in timm, None if it has none there.

    Args:
        name (str): Its name here, where merging ends a stage.
        merging (int): How many stages later merging is there: 1 in timm, where it
            starts the next one, 0 in the authors' code and earlier timm. Defaults to 1.
    """
    if SWIN_LEFT_OUT.match(name):
        return None
    if found := SWIN_MERGING.match(name):
        return f'layers.{int(found[1]) + merging}.downsample.{name[found.end() :]}'
    return apply_rules(SWIN_RULES, name)


def swin_pixels(name: str, value: Tensor, back: bool = False) -> Tensor:
    """The tensor in timm, where the four merged pixels come in another order.

    They are unfolded here, (C, 2, 2) in the order channel, row, column; there
    they come column, row, channel.

    Args:
        name (str): Its name here.
        value (Tensor): Its value here.
        back (bool): ``value`` is the one in timm, and the one here is
            returned. Defaults to False.
    """
    if not SWIN_MERGING.match(name):
        return value
    pixels = (2, 2, -1) if back else (-1, 2, 2)
    return value.unflatten(-1, pixels).transpose(-1, -3).flatten(-3)


def convnext_entry(name: str, value: Tensor) -> tuple | None:
    """Name and value of a ConvNeXt's tensor in timm."""
    renamed = convnext_name(name)
    return None if renamed is None else (renamed, value)


def convnext_name(name: str) -> str | None:
    """Name of a ConvNeXt's tensor in timm, None if it has none there."""
    return None if CONVNEXT_LEFT_OUT.match(name) else apply_rules(CONVNEXT_RULES, name)


def apply_rules(rules: tuple, name: str) -> str:
    """Rename by the first rule that matches the start of a name."""
    for pattern, replacement in rules:
        if found := re.match(pattern, name):
            return found.expand(replacement) + name[found.end() :]
    raise no_place(f'backbone.{name}')
