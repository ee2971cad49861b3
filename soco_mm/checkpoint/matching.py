"""Which pretrained tensor belongs where in a detector."""
import re
from typing import Dict, Iterable

from torch import Tensor

BOX_HEAD = 'roi_head.bbox_head.'
RES5 = 'roi_head.shared_head.layer4.'
BACKBONE_RES5 = 'backbone.layer4.'
# The convolutions of an FPN that belong to a stage of the backbone.
NECK_CONV = re.compile(r'neck\.(lateral_convs|fpn_convs)\.(\d+)\.')


def match_names(weights: Dict[str, Tensor],
                detector: Dict[str, Tensor],
                start_level: int = 0,
                pretrained_start_level: int = 0) -> Dict[str, Tensor]:
    """Give pretrained tensors the names they have in a detector.

    Most names are the same. Three parts have others:

    - An FPN numbers its convolutions from its first stage, so that those of
      RetinaNet or FCOS, which start at C3, are one lower than the
      pretrained ones: a plain load would put P2's weights on P3.
    - The last stage of a ResNet is the backbone's in detectors with an FPN,
      and the shared head in those on C4.
    - Detectors with several box heads (Cascade R-CNN) get the pretrained one
      in each.

    A box head is pretrained as a whole: where the detector's has not the same
    layers, it starts anew.

    Args:
        weights (dict[str, Tensor]): Pretrained weights, see
            :func:`detector_weights`.
        detector (dict[str, Tensor]): The detector's state dict.
        start_level (int): The stage at which the detector's FPN starts.
            Defaults to 0.
        pretrained_start_level (int): That of the pretrained FPN. Defaults to
            0.

    Returns:
        dict[str, Tensor]: Weights by the detector's names. What has no place
        keeps its name, but for stages of the FPN that the detector leaves
        out and box heads that differ, which are dropped.
    """
    shift = pretrained_start_level - start_level
    matched = {}
    head = {}
    for name, value in weights.items():
        if found := NECK_CONV.match(name):
            number = int(found[2]) + shift
            if number < 0:
                continue
            name = f'neck.{found[1]}.{number}.{name[found.end():]}'
        elif name.startswith(RES5) and not _has(detector, RES5):
            name = BACKBONE_RES5 + name.removeprefix(RES5)
        elif name.startswith(BACKBONE_RES5) and not _has(
                detector, BACKBONE_RES5) and _has(detector, RES5):
            name = RES5 + name.removeprefix(BACKBONE_RES5)
        elif name.startswith(BOX_HEAD):
            head[name.removeprefix(BOX_HEAD)] = value
            continue
        matched[name] = value
    for prefix in _box_heads(detector):
        theirs = {
            name.removeprefix(prefix): value.shape
            for name, value in detector.items()
            if name.startswith(f'{prefix}shared_')
        }
        ours = {name: value.shape for name, value in head.items()}
        if theirs == ours:
            matched.update(
                {prefix + name: value
                 for name, value in head.items()})
    return matched


def _has(names: Iterable[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def _box_heads(detector: Iterable[str]) -> list:
    """Prefixes of the box heads of a detector."""
    found = dict.fromkeys(
        re.match(r'roi_head\.bbox_head\.(\d+\.)?', name)[0]
        for name in detector if name.startswith(BOX_HEAD))
    return list(found)


def explain_mismatch(weights: Dict[str, Tensor],
                     detector: Dict[str, Tensor], part: str) -> str:
    """Say in words why a backbone or neck does not fit.

    Args:
        weights (dict[str, Tensor]): Pretrained weights by the detector's
            names.
        detector (dict[str, Tensor]): The detector's state dict.
        part (str): ``backbone`` or ``neck``.

    Returns:
        str: The reason, and what to change.
    """
    prefix = f'{part}.'
    ours = {name for name in weights if name.startswith(prefix)}
    theirs = {name for name in detector if name.startswith(prefix)}
    if not ours:
        return f'the checkpoint holds no {part}'
    if not theirs:
        return f'the detector has no {part}'
    norms = ('running_mean', 'running_var', 'num_batches_tracked')
    if _with(ours, norms) and not _with(theirs, norms):
        return (f'its {part} has no batch norm, but the pretrained one has; '
                f'set model.{part}.norm_cfg, or add --adapt')
    if (differing := [
            name for name in sorted(ours & theirs)
            if weights[name].shape != detector[name].shape
    ]):
        name = differing[0]
        return (f'{name} has the shape {list(detector[name].shape)}, but '
                f'{list(weights[name].shape)} in the checkpoint: the two are '
                f'of different widths or depths')
    stages = [
        re.sub(r'\.\d+\.', '.N.', name) for name in ours - theirs
    ]
    if stages and all(
            stage in {re.sub(r'\.\d+\.', '.N.', name)
                      for name in theirs} for stage in stages):
        return (f'the pretrained {part} is deeper: {sorted(ours - theirs)[0]} '
                'has no place in the detector')
    missing = sorted(theirs - ours)
    example = missing[0] if missing else sorted(ours - theirs)[0]
    where = 'the checkpoint' if missing else 'the detector'
    return f'{example} is not in {where}: the two are of different kinds'


def _with(names: Iterable[str], endings: tuple) -> bool:
    return any(name.endswith(endings) for name in names)
