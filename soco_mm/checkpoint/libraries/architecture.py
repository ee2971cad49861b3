"""Which models other libraries have too, and which are refused.

Equal names are not enough: a setting without a tensor, such as the position
of a stride, changes what the same weights compute.
"""

from collections.abc import Mapping
from typing import Any

from soco_mm.utils import SoCoError
from soco_mm.utils.class_names import class_name

# Settings that change nothing computed from given weights in evaluation mode,
# or that show in the shapes of the weights.
NO_MATTER = (
    'type',
    'depth',
    'frozen_stages',
    'init_cfg',
    'norm_cfg',
    'norm_eval',
    'out_indices',
    'pretrained',
    'with_cp',
    'zero_init_residual',
)
RESNET: dict[str, Any] = dict(
    in_channels=3,
    stem_channels=None,
    base_channels=64,
    num_stages=4,
    strides=(1, 2, 2, 2),
    dilations=(1, 1, 1, 1),
    style='pytorch',
    deep_stem=False,
    avg_down=False,
    conv_cfg=None,
    dcn=None,
    stage_with_dcn=(False, False, False, False),
    plugins=None,
)
RES5 = dict(stage=3, stride=2, dilation=1, style='pytorch', dcn=None)
FPN = dict(
    start_level=0,
    end_level=-1,
    add_extra_convs=False,
    no_norm_on_lateral=False,
    conv_cfg=None,
    act_cfg=None,
    upsample_cfg=dict(mode='nearest'),
)
FPN_NO_MATTER = (
    'type',
    'in_channels',
    'out_channels',
    'num_outs',
    'relu_before_extra_convs',
    'norm_cfg',
    'init_cfg',
)
DEPTHS = (18, 34, 50, 101, 152)
# Those of ImageNet, RGB.
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def check_resnet(model: Mapping, library: str, any_style: bool = False) -> None:
    """Refuse a backbone that is not a ResNet as in torchvision.

    Args:
        model (Mapping): The ``model`` of the pretraining's config.
        library (str): Its name, for the message.
        any_style (bool): It also has the stride in the first convolution
            (``style='caffe'``). Defaults to False.

    Raises:
        SoCoError: If it is a different one.
    """
    backbone = model['backbone']
    if backbone_type(model) != 'ResNet' or backbone['depth'] not in DEPTHS:
        raise SoCoError(
            f'The format {library} supports ResNets of the depths '
            f'{", ".join(map(str, DEPTHS))}, but model.backbone is '
            f'{backbone["type"]}. Choose another format.'
        )
    stages = backbone.get('num_stages', 4)
    shared = (model.get('roi_head') or {}).get('shared_head')
    expected = dict(RESNET, num_stages=3 if shared else 4)
    for key in ('strides', 'dilations'):
        expected[key] = expected[key][:stages]
    ignored = NO_MATTER + (('style',) if any_style else ())
    check_settings(backbone, expected, 'model.backbone', library, ignored)
    check_norm(backbone, 'model.backbone', library)
    if shared:
        where = 'model.roi_head.shared_head'
        check_settings(shared, RES5, where, library, ignored)
        check_norm(shared, where, library)
        for key in ('depth', 'style'):
            if shared.get(key, 'pytorch') != backbone.get(key, 'pytorch'):
                raise SoCoError(
                    f'The {key} of {where} differs from that of '
                    f'model.backbone, which {library} does not '
                    'support. Choose the format safetensors.'
                )


def check_detector(model: Mapping, library: str) -> None:
    """Refuse a neck or box head that another library computes differently.

    Args:
        model (Mapping): The ``model`` of the pretraining's config.
        library (str): Its name, for the message.

    Raises:
        SoCoError: If there is one.
    """
    neck = model.get('neck')
    if neck:
        check_type(neck, 'FPN', 'model.neck', library)
        check_settings(neck, FPN, 'model.neck', library, FPN_NO_MATTER)
        check_norm(neck, 'model.neck', library)
    head = (model.get('roi_head') or {}).get('bbox_head')
    if head:
        where = 'model.roi_head.bbox_head'
        check_type(head, 'ObjectBBoxHead', where, library)
        check_norm(head, where, library)


def backbone_type(model: Mapping) -> str:
    """Class of the backbone, without the scope of its library."""
    return class_name(model['backbone'])


def pixel_statistics(model: Mapping) -> dict:
    """How images were normalised in the pretraining, as MMDetection says it.

    Args:
        model (Mapping): The ``model`` of the pretraining's config.

    Returns:
        dict: ``mean`` and ``std``, lists of three numbers of 0 to 255, and
        ``bgr_to_rgb``, whether the model takes RGB.
    """
    given = model.get('data_preprocessor') or {}
    return dict(
        mean=list(given.get('mean', MEAN)),
        std=list(given.get('std', STD)),
        bgr_to_rgb=not given.get('rgb_to_bgr', False),
    )


def check_type(part: Mapping, expected: str, where: str, library: str) -> None:
    """Refuse a part of another class."""
    several = not isinstance(part, Mapping)
    if several or class_name(part) != expected:
        other = 'a list' if several else part['type']
        raise SoCoError(
            f'The format {library} supports {expected} as {where}, '
            f'but it is {other}. Choose the format safetensors.'
        )


def check_settings(
    part: Mapping, expected: dict, where: str, library: str, ignored: tuple
) -> None:
    """Refuse settings with which another library would compute differently.

    Args:
        part (Mapping): Config of the part.
        expected (dict): The one value that each of its settings may have.
        where (str): Place of the part in the config, for the message.
        library (str): Name of the library, for the message.
        ignored (tuple): Settings that do not matter.

    Raises:
        SoCoError: If a setting differs.
    """
    for key, value in part.items():
        if key in ignored or (key in expected and same(value, expected[key])):
            continue
        raise SoCoError(
            f'The format {library} does not support {where}.{key}={value!r}'
            f'{f", only {expected[key]!r}" if key in expected else ""}; its '
            'features would differ. Choose the format safetensors.'
        )


def check_norm(part: Mapping, where: str, library: str) -> None:
    """Refuse norm layers other than batch norm with the usual epsilon."""
    norm = part.get('norm_cfg') or {}
    if norm.get('type', 'BN') not in ('BN', 'SyncBN') or norm.get('eps', 1e-5) != 1e-5:
        raise SoCoError(
            f'The format {library} supports batch norm with an '
            f'epsilon of 1e-5, but {where}.norm_cfg is {norm}. '
            'Choose the format safetensors.'
        )


def same(value, other) -> bool:
    """Whether two settings are equal, lists and tuples alike."""
    if isinstance(value, (list, tuple)) and isinstance(other, (list, tuple)):
        return list(value) == list(other)
    return value == other
