"""Names of torchvision's detectors with an FPN."""

from collections.abc import Iterable, Mapping

from soco_mm.utils import SoCoError

from .architecture import check_detector, check_resnet
from .parts import COMMON, CONV_MODULE, FC, Parts, no_place

LIBRARY = 'torchvision'
CONVS = {
    'lateral_convs': 'backbone.fpn.inner_blocks',
    'fpn_convs': 'backbone.fpn.layer_blocks',
    'shared_convs': 'roi_heads.box_head',
}


def torchvision_weights(parts: Parts, model: Mapping) -> Parts:
    """Give weights the names they have in torchvision's detectors.

    ``fasterrcnn_resnet50_fpn_v2`` and ``maskrcnn_resnet50_fpn_v2`` have batch
    norm in the FPN and the box head with four convolutions.

    Args:
        parts (dict): See :func:`split_parts`.
        model (Mapping): The ``model`` of the pretraining's config.

    Returns:
        dict[str, dict[str, Tensor]]: By those of the same parts that it has, and by
        full names.

    Raises:
        SoCoError: If torchvision has no such model.
    """
    if 'shared head' in parts:
        raise SoCoError(
            'torchvision has no detector on C4. Choose the format '
            'detectron2, or timm for the backbone.'
        )
    check_resnet(model, LIBRARY)
    check_detector(model, LIBRARY)
    convs = count_convs(parts.get('box head', ()))
    return {
        part: {
            torchvision_name(part, name, convs): value
            for name, value in weights.items()
        }
        for part, weights in parts.items()
        if part in COMMON
    }


def count_convs(names: Iterable[str]) -> int:
    """Number of convolutions of a box head, by the names of its tensors."""
    return len({found[2] for name in names if (found := CONV_MODULE.match(name))})


def torchvision_name(part: str, name: str, convs: int) -> str:
    """Name of a tensor in torchvision's detectors with an FPN.

    Args:
        part (str): The part of the detector that it belongs to.
        name (str): Its name within the part.
        convs (int): Number of convolutions of the box head.

    Raises:
        SoCoError: If torchvision has no such tensor.
    """
    if part == 'backbone':
        return f'backbone.body.{name}'
    if found := CONV_MODULE.match(name):
        layer = 1 if found[3] == 'bn' else 0
        return f'{CONVS[found[1]]}.{found[2]}.{layer}.{name[found.end() :]}'
    if found := FC.match(name):
        # The head is one sequence: the convolutions, the flattening, and
        # each fully connected layer followed by its ReLU.
        number = convs + 1 + 2 * int(found[1])
        return f'roi_heads.box_head.{number}.{name[found.end() :]}'
    raise no_place(f'{part}: {name}')
