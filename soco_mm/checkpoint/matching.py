"""Which pretrained tensor belongs where in a detector."""

import re
from collections.abc import Iterable

from torch import Tensor

BOX_HEAD = 'roi_head.bbox_head.'
DENSE_HEAD = 'bbox_head.'  # of one stage
SHARED_RES5 = 'roi_head.shared_head.layer4.'
BACKBONE_RES5 = 'backbone.layer4.'
# The convolutions of an FPN that belong to a stage of the backbone.
NECK_CONV = re.compile(r'neck\.(lateral_convs|fpn_convs)\.(\d+)\.')
# Swin and ConvNeXt have a norm for each stage that is handed to the neck.
STAGE_NORM = re.compile(r'backbone\.norm\d\.')
NORM = ('running_mean', 'running_var', 'num_batches_tracked')


def match_names(
    weights: dict[str, Tensor],
    detector: dict[str, Tensor],
    start_level: int = 0,
    pretrained_start_level: int = 0,
) -> tuple[dict[str, Tensor], list[str]]:
    """Give pretrained tensors the names they have in a detector.

    Most names are the same. Three parts have others:

    - An FPN numbers its convolutions from its first stage, so the numbers in
      RetinaNet or FCOS, which start at C3, are one lower than the
      pretrained ones: a plain load would put P2's weights on P3.
    - The last stage of a ResNet is the backbone's in detectors with an FPN,
      and the shared head in those on C4.
    - Detectors with several box heads (Cascade R-CNN) get the pretrained one
      in each.

    Three things are left out where the detector has no place for them: levels
    below the first one of its FPN, norms of stages that its neck does not
    read, and the head (a box head, several, or the towers of one stage), which
    is pretrained as a whole: one with other layers starts from random weights.

    Args:
        weights (dict[str, Tensor]): Pretrained weights, see
            :func:`detector_weights`.
        detector (dict[str, Tensor]): The detector's state dict.
        start_level (int): The stage at which the detector's FPN starts.
            Defaults to 0.
        pretrained_start_level (int): That of the pretrained FPN. Defaults to
            0.

    Returns:
        tuple: Weights by the detector's names, where what fits nowhere keeps
        its name; and the names of what was left out.
    """
    shift = pretrained_start_level - start_level
    matched, head, left_out = {}, {}, []
    for name, value in weights.items():
        if found := NECK_CONV.match(name):
            number = int(found[2]) + shift
            if number < 0:
                left_out.append(name)
                continue
            name = f'neck.{found[1]}.{number}.{name[found.end() :]}'
        elif name.startswith(SHARED_RES5) and not _has(detector, SHARED_RES5):
            name = BACKBONE_RES5 + name.removeprefix(SHARED_RES5)
        elif (
            name.startswith(BACKBONE_RES5)
            and not _has(detector, BACKBONE_RES5)
            and _has(detector, SHARED_RES5)
        ):
            name = SHARED_RES5 + name.removeprefix(BACKBONE_RES5)
        elif STAGE_NORM.match(name) and name not in detector:
            left_out.append(name)
            continue
        elif name.startswith((BOX_HEAD, DENSE_HEAD)):
            head[name] = value
            continue
        matched[name] = value
    # Pretrained with the names of this detector, which may have several heads.
    placed = _fit(head, detector)
    if placed:
        matched.update(head)
    head = {name.removeprefix(BOX_HEAD): value for name, value in head.items()}
    for prefix in () if placed else _box_heads(detector):
        theirs = {
            name.removeprefix(prefix): value.shape
            for name, value in detector.items()
            if name.startswith(f'{prefix}shared_')
        }
        ours = {name: value.shape for name, value in head.items()}
        if theirs == ours:
            placed = True
            matched.update({prefix + name: value for name, value in head.items()})
    if not placed:
        left_out += [
            name if name.startswith(DENSE_HEAD) else BOX_HEAD + name for name in head
        ]
    return matched, left_out


def _fit(weights: dict[str, Tensor], detector: dict[str, Tensor]) -> bool:
    """Whether each of some weights has its place, by name and shape."""
    return bool(weights) and all(
        name in detector and detector[name].shape == value.shape
        for name, value in weights.items()
    )


def _has(names: Iterable[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def _box_heads(detector: Iterable[str]) -> list:
    """Prefixes of the box heads of a detector."""
    found = dict.fromkeys(
        re.match(r'roi_head\.bbox_head\.(\d+\.)?', name)[0]
        for name in detector
        if name.startswith(BOX_HEAD)
    )
    return list(found)


def explain_mismatch(
    weights: dict[str, Tensor],
    detector: dict[str, Tensor],
    prefix: str,
    kinds: tuple[str, str],
) -> str:
    """Say why a part of a detector does not fit.

    Args:
        weights (dict[str, Tensor]): Pretrained weights by the detector's
            names.
        detector (dict[str, Tensor]): The detector's state dict.
        prefix (str): How the names of the part start: ``backbone.`` or
            ``neck.``, for example.
        kinds (tuple[str]): Classes of the pretrained part and of the
            detector's part, empty for none.

    Returns:
        str: The reason, and what to change.
    """
    part = prefix[:-1]
    ours = {name for name in weights if name.startswith(prefix)}
    theirs = {name for name in detector if name.startswith(prefix)}
    if not ours:
        return f'the checkpoint holds no {part}'
    if not theirs:
        return f'the detector has no {part}'
    if kinds[0] != kinds[1]:
        return (
            f'the {part} of the detector is of the class {kinds[1]}, but '
            f'{kinds[0]} was pretrained'
        )
    if _with(ours, NORM) and not _with(theirs, NORM):
        return (
            f'its {part} has no batch norm, but the pretrained one has; '
            f'set model.{part}.norm_cfg, or add --adapt'
        )
    if differing := [
        name
        for name in sorted(ours & theirs)
        if weights[name].shape != detector[name].shape
    ]:
        name = differing[0]
        return (
            f'{name} has the shape {list(detector[name].shape)}, but '
            f'{list(weights[name].shape)} in the checkpoint: the two have '
            f'different widths or depths'
        )
    missing, too_many = theirs - ours, ours - theirs
    if too_many and _blocks(too_many) <= _blocks(theirs):
        return (
            f'the pretrained {part} is deeper: {min(too_many)} has no '
            'place in the detector'
        )
    if missing and not too_many and _blocks(missing) <= _blocks(ours):
        return (
            f'the {part} of the detector is deeper: {min(missing)} is not '
            'in the checkpoint'
        )
    example = min(missing) if missing else min(too_many)
    where = 'the checkpoint' if missing else 'the detector'
    return f'{example} is not in {where}: the settings of the two differ'


def _with(names: Iterable[str], endings: tuple) -> bool:
    return any(name.endswith(endings) for name in names)


def _blocks(names: Iterable[str]) -> set:
    """Names without the numbers of repeated blocks."""
    return {re.sub(r'\.\d+\.', '.N.', name) for name in names}
