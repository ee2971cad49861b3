"""Other libraries' names of a model's tensors: what the exports write, read back."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from soco_mm.checkpoint.matching import NECK_CONV
from soco_mm.checkpoint.transfer import PARTS, part_of
from soco_mm.utils import SoCoError

from .architecture import backbone_type
from .backbones import convnext_name, swin_name, swin_pixels
from .detectron2 import detectron2_name, resnet_name
from .mobilenet_v2 import timm_mobilenet_name, torchvision_mobilenet_name
from .parts import no_place
from .torchvision import count_convs, torchvision_name

BACKBONE, RES5, BOX_HEAD = (
    PARTS[key] for key in ('backbone', 'shared head', 'box head')
)
DETECTRON2 = 'detectron2'
NECK = PARTS['neck']
LATERAL = NECK + 'lateral_convs.{}.conv.weight'
LEVELS = 8
# Before the names of torchvision in the checkpoints of MoCo's and SimSiam's code.
ENCODERS = {'MoCo': 'encoder_q.', 'SimSiam': 'encoder.'}


class Layout(NamedTuple):
    """The names that a library gives the tensors of a model.

    Attributes:
        library (str): The library.
        names (dict[str, str]): Its name of each tensor that it has, by the
            name here.
        convert (Callable): Takes the name here and the value there; returns
            the value here.
    """

    library: str
    names: dict[str, str]
    convert: Callable[[str, Tensor], Tensor] = lambda name, value: value


def layouts(
    model: Mapping, state: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> list[Layout]:
    """The names of a model's tensors in each library that may have them.

    Args:
        model (Mapping): The ``model`` of a pretraining's config.
        state (Mapping[str, Tensor]): Its tensors.
        weights (Mapping[str, Tensor]): Those of a file, which tell at which stage
            its FPN starts.

    Returns:
        list[Layout]: The layouts.

    Example:
        >>> import torch
        >>> from soco_mm.checkpoint.libraries.incoming import layouts
        >>> model = dict(backbone=dict(type='mmdet.ResNet', depth=50))
        >>> state = {'backbone.layer1.0.bn1.weight': torch.ones(64)}
        >>> found = layouts(model, state, {})
        >>> [layout.names['backbone.layer1.0.bn1.weight'] for layout in found][4]
        'backbone.bottom_up.res2.0.conv1.norm.weight'
    """
    names = list(state)
    kind = backbone_type(model)
    bare = dict(bare_names(names))
    if kind == 'SwinTransformer':
        return [
            Layout('timm', renamed(swin_name, bare), swin_back),
            Layout(
                "Swin's authors", renamed(lambda x: swin_name(x, 0), bare), swin_back
            ),
        ]
    if kind == 'ConvNeXt':
        return [Layout('timm', renamed(convnext_name, bare))]
    if kind == 'MobileNetV2':
        return [
            Layout('torchvision', renamed(torchvision_mobilenet_name, bare)),
            Layout(
                'torchvision',
                renamed(lambda x: torchvision_mobilenet_name(x, True), bare),
            ),
            Layout('timm', renamed(timm_mobilenet_name, bare)),
        ]
    convs = count_convs(name.removeprefix(BOX_HEAD) for name in names)

    def whole(rename: Callable[[str, str], str]) -> Iterator[tuple[str, str]]:
        shift = fpn_shift(rename, state, weights)
        for name in names:
            part = part_of(name)
            try:
                theirs = at_level(name, -shift)
                yield name, rename(part, theirs.removeprefix(PARTS.get(part, '')))
            except SoCoError:  # the library has no such tensor
                continue

    def torchvision(part: str, name: str) -> str:
        return torchvision_name(part, name, convs)

    def detectron2_c4(part: str, name: str) -> str:
        return detectron2_name(part, name, is_c4=True)

    return [
        Layout('torchvision or timm', bare),
        *(
            Layout(code, {ours: prefix + name for ours, name in bare.items()})
            for code, prefix in ENCODERS.items()
        ),
        Layout('torchvision', dict(whole(torchvision))),
        Layout(DETECTRON2, dict(whole(detectron2_name))),
        Layout(DETECTRON2, dict(whole(detectron2_c4))),
        Layout(DETECTRON2, renamed(resnet_name, bare)),
    ]


def fpn_shift(
    rename: Callable[[str, str], str],
    state: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
) -> int:
    """How much higher a model numbers the stages of its FPN than some weights.

    The channels of a stage tell which convolutions belong to it.

    Args:
        rename (Callable): Takes a part and a name in it, as here; returns the name
            there.
        state (Mapping[str, Tensor]): The tensors of the model.
        weights (Mapping[str, Tensor]): Those of the file.
    """
    laterals = [LATERAL.format(level) for level in range(LEVELS)]
    ours = [state.get(name) for name in laterals]
    theirs = [weights.get(rename('neck', name.removeprefix(NECK))) for name in laterals]
    for here, lateral in enumerate(ours):
        for there, other in enumerate(theirs):
            known = lateral is not None and other is not None
            if known and lateral.shape[1] == other.shape[1]:
                return here - there
    return 0


def at_level(name: str, shift: int) -> str:
    """The same convolution of an FPN, so many levels higher; other names stay.

    Raises:
        SoCoError: If there is no such level.

    Example:
        >>> from soco_mm.checkpoint.libraries.incoming import at_level
        >>> at_level('neck.fpn_convs.0.conv.weight', 1)
        'neck.fpn_convs.1.conv.weight'
    """
    found = NECK_CONV.match(name)
    if not found:
        return name
    if (level := int(found[2]) + shift) < 0:
        raise no_place(name)
    return f'{NECK}{found[1]}.{level}.{name[found.end() :]}'


def bare_names(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Names within the backbone, of which the res5 of a C4 model is the end."""
    for name in names:
        for prefix in (BACKBONE, RES5):
            if name.startswith(prefix):
                yield name, name.removeprefix(prefix)


def renamed(
    rename: Callable[[str], str | None], names: dict[str, str]
) -> dict[str, str]:
    """Rename what has a name in a library."""
    found = {}
    for ours, name in names.items():
        try:
            theirs = rename(name)
        except SoCoError:  # a tensor of another model
            continue
        if theirs is not None:
            found[ours] = theirs
    return found


def swin_back(name: str, value: Tensor) -> Tensor:
    """A Swin's tensor as it is here, from that in timm."""
    return swin_pixels(name.removeprefix(BACKBONE), value, back=True)
