import re

from torch import Tensor

from soco_mm.checkpoint.transfer import PARTS
from soco_mm.utils import SoCoError

# Weights by part of the detector, and by their names in it.
Parts = dict[str, dict[str, Tensor]]
# A convolution of FPN or box head, or the norm that follows it.
CONV_MODULE = re.compile(r'(lateral_convs|fpn_convs|shared_convs)\.(\d+)\.(conv|bn)\.')
# Parts that detectors of other libraries have too, under other names. An RPN and the
# towers of a one-stage head are left out.
COMMON = ('backbone', 'neck', 'shared head', 'box head')
FC = re.compile(r'shared_fcs\.(\d+)\.')


def split_parts(weights: dict[str, Tensor]) -> Parts:
    """Sort pretrained weights by part of the detector.

    Args:
        weights (dict[str, Tensor]): Pretrained weights, see
            :func:`detector_weights`.

    Returns:
        dict[str, dict[str, Tensor]]: By the names of ``PARTS``, as far as they
        exist, and by the name within the part.

    Raises:
        SoCoError: If a tensor belongs to none of them.
    """
    parts: Parts = {}
    for name, value in weights.items():
        for part, prefix in PARTS.items():
            if name.startswith(prefix):
                parts.setdefault(part, {})[name.removeprefix(prefix)] = value
                break
        else:
            raise no_place(name)
    return parts


def no_place(name: str) -> SoCoError:
    """The error for a tensor that another library has no place for."""
    return SoCoError(
        f'The tensor {name} has no place in this format; it is '
        'not part of a pretrained model of this plugin.'
    )
