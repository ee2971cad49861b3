"""MobileNetV2: the names of torchvision, of the code it is from, and of timm."""

import re

# The blocks of each stage; the first stage does not expand its input.
BLOCKS = (1, 2, 3, 4, 3, 3, 1)
LAYERS = ('expand_conv', 'depthwise_conv', 'linear_conv')
TIMM = dict(
    expand_conv=('conv_pw', 'bn1'),
    depthwise_conv=('conv_dw', 'bn2'),
    linear_conv=('conv_pwl', 'bn3'),
)
# Of a block that does not expand.
TIMM_FIRST = dict(depthwise_conv=('conv_dw', 'bn1'), linear_conv=('conv_pw', 'bn2'))
BLOCK = re.compile(r'layer(\d)\.(\d+)\.(\w+)\.(conv|bn)\.')
ENDS = re.compile(r'conv([12])\.(conv|bn)\.')


def torchvision_mobilenet_name(name: str, flat: bool = False) -> str | None:
    """Name of a tensor of ``mmdet.MobileNetV2`` in torchvision's ``mobilenet_v2``.

    Args:
        name (str): For example ``layer2.0.expand_conv.conv.weight``.
        flat (bool): As in older code, in which a block is one sequence and
            convolution, norm and activation are not grouped. Defaults to
            False.

    Returns:
        str, optional: For example ``features.2.conv.0.0.weight``, and flat
        ``features.2.conv.0.weight``. None for a name of another model.
    """
    if found := ENDS.match(name):
        number = 0 if found[1] == '1' else sum(BLOCKS) + 1
        return f'features.{number}.{layer_of(found[2])}.{name[found.end() :]}'
    found = BLOCK.match(name)
    if not found or found[3] not in LAYERS:
        return None
    stage, block = int(found[1]), int(found[2])
    number = sum(BLOCKS[: stage - 1]) + block + 1
    layer = LAYERS.index(found[3]) - (stage == 1)
    part = layer_of(found[4])
    if flat:  # convolution, norm and activation of each layer
        place = str(3 * layer + part)
    elif found[3] == 'linear_conv':  # not grouped, since it has no activation
        place = str(layer + part)
    else:
        place = f'{layer}.{part}'
    return f'features.{number}.conv.{place}.{name[found.end() :]}'


def timm_mobilenet_name(name: str) -> str | None:
    """Name of a tensor of ``mmdet.MobileNetV2`` in timm's ``mobilenetv2_100``.

    Args:
        name (str): For example ``layer2.0.expand_conv.conv.weight``.

    Returns:
        str, optional: For example ``blocks.1.0.conv_pw.weight``. None for a
        name of another model.
    """
    if found := ENDS.match(name):
        names = ('conv_stem', 'bn1') if found[1] == '1' else ('conv_head', 'bn2')
        return f'{names[layer_of(found[2])]}.{name[found.end() :]}'
    found = BLOCK.match(name)
    layers = TIMM_FIRST if found and found[1] == '1' else TIMM
    if not found or found[3] not in layers:
        return None
    place = layers[found[3]][layer_of(found[4])]
    return f'blocks.{int(found[1]) - 1}.{found[2]}.{place}.{name[found.end() :]}'


def layer_of(kind: str) -> int:
    """0 for a convolution, 1 for the norm after it."""
    return ('conv', 'bn').index(kind)
