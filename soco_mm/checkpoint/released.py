"""Names in the authors' released checkpoints, and their names here."""

import re

from torch import Tensor

from soco_mm.utils import SoCoError

from .io import PREFIX

# For each layout: part of the released model -> its name here. The target
# network's parts carry the suffix _k. SoCo* has the layout of FPN.
PARTS_BY_LAYOUT = dict(
    FPN=dict(
        encoder='backbone',
        neck='neck',
        head='roi_head.bbox_head',
        projector='projector',
        predictor='head.predictor',
    ),
    C4=dict(encoder='backbone', projector='projector', predictor='head.predictor'),
)
# Within a part: released name -> name here. Numbers there start from 1.
RULES = dict(
    head=(
        (r'conv(\d)\.', 'shared_convs.{}.conv.'),
        (r'bn(\d)\.', 'shared_convs.{}.bn.'),
        (r'fc(\d)\.', 'shared_fcs.{}.'),
    ),
    projector=((r'linear(\d)\.', 'fc{}.'), (r'bn(\d)\.', 'bn{}.')),
    predictor=((r'linear(\d)\.', 'fc{}.'), (r'bn(\d)\.', 'bn{}.')),
)
# C4's last stage is the head.
LAST_STAGE = 'layer4.'


def convert_name(name: str, layout: str = 'FPN') -> str:
    """Name of a released entry in a checkpoint of this plugin.

    Args:
        name (str): For example ``module.head_k.conv1.weight``, also without
            the ``module.``.
        layout (str): ``FPN`` or ``C4``. Defaults to ``FPN``.

    Returns:
        str: For example
        ``target_net.module.roi_head.bbox_head.shared_convs.0.conv.weight``.

    Raises:
        SoCoError: If no released model of the layout has such an entry.
    """
    parts = PARTS_BY_LAYOUT[layout]
    part, _, rest = name.removeprefix(PREFIX).partition('.')
    online = part.removesuffix('_k')
    target = 'target_net.module.' if online != part else ''
    unknown = SoCoError(
        f'The entry {name} is not of a released checkpoint of the {layout} layout.'
    )
    if online not in parts or not rest or part == 'predictor_k':
        raise unknown
    here = parts[online]
    if online == 'encoder' and layout == 'C4' and rest.startswith(LAST_STAGE):
        here = 'roi_head.shared_head'
    if online in RULES:
        for pattern, template in RULES[online]:
            match = re.match(pattern, rest)
            if match:
                rest = template.format(int(match[1]) - 1) + rest[match.end() :]
                break
        else:
            raise unknown
    return f'{target}{here}.{rest}'


def released_layout(state_dict: dict[str, Tensor]) -> str:
    """Layout of a released model, ``FPN`` (SoCo* too) or ``C4``.

    Args:
        state_dict (dict[str, Tensor]): The ``model`` of a released
            checkpoint.
    """
    fpn = any(
        name.removeprefix(PREFIX).startswith(('neck.', 'head.')) for name in state_dict
    )
    return 'FPN' if fpn else 'C4'


def convert_released(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Turn the weights of a released model into those of this plugin.

    Both networks, both projectors and the predictor; every entry is used. A
    checkpoint without a neck has the C4 layout.

    Args:
        state_dict (dict[str, Tensor]): The ``model`` of a released
            checkpoint.

    Returns:
        dict[str, Tensor]: A ``state_dict`` of :class:`SoCo`.

    Raises:
        SoCoError: If an entry is unknown, a part is missing, or the two
            networks do not have the same entries.
    """
    layout = released_layout(state_dict)
    converted = {
        convert_name(name, layout): value for name, value in state_dict.items()
    }
    wanted = dict(PARTS_BY_LAYOUT[layout])
    if layout == 'C4':
        wanted[f'encoder.{LAST_STAGE[:-1]}'] = 'roi_head.shared_head'
    for part, here in wanted.items():
        if not any(name.startswith(here + '.') for name in converted):
            raise SoCoError(
                f'The checkpoint has no {PREFIX}{part}.*; it is not a '
                f'released checkpoint of the {layout} layout.'
            )
    online = {
        name
        for name in converted
        if not name.startswith(('target_net.', 'head.predictor.'))
    }
    target = {
        name.removeprefix('target_net.module.')
        for name in converted
        if name.startswith('target_net.')
    }
    if online != target:
        raise SoCoError(
            'The two networks of the checkpoint do not have the same entries; '
            f'one of them lacks {sorted(online ^ target)[0]}.'
        )
    return converted
