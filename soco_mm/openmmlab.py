"""The OpenMMLab packages beside MMEngine, MMCV and MMDetection.

There are two families. The first has MMClassification (``mmcls``) for probes and
MMSelfSup (``mmselfsup``) for the baselines. In the second, which is maintained,
MMPretrain (``mmpretrain``) is the successor of both, under nearly the same names.
Neither is needed to pretrain, export or fine-tune; this is the only module that
knows which one is installed. MMSelfSup's and MMPretrain's data sets are never
imported: they need torchvision, which is not built for every PyTorch.
"""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from soco_mm.errors import SoCoError

if TYPE_CHECKING:  # the doctor runs where PyTorch does not
    from torch import Tensor

# What can stand in for a package that is not installed.
STAND_INS = {'mmselfsup': 'mmpretrain', 'mmcls': 'mmpretrain', 'mmpretrain': 'mmcls'}
# What MMPretrain calls differently.
RENAMED = {'PackClsInputs': 'PackInputs'}
# The share of the target network that a step keeps, in MMSelfSup; in MMPretrain the
# share that it replaces, under the same name.
MOMENTUM = {'BYOL': 'base_momentum', 'MoCo': 'momentum', 'DenseCL': 'momentum'}
# What both compute alike; others of one name may differ in silence.
BASELINES = {
    *MOMENTUM,
    'SimSiam',
    'LatentPredictHead',
    'ContrastiveHead',
    'CosineSimilarityLoss',
    'NonLinearNeck',
    'MoCoV2Neck',
    'DenseCLNeck',
    'SimSiamHook',
    'DenseCLHook',
}
CLASSIFIERS = ('mmcls', 'mmpretrain')
# The distributions of each family: those that are needed, and the others. Those of
# one import name are installed into the same folder.
NEEDED = {
    'openmmlab': ('mmengine', 'mmcv', 'mmdet'),
    'onedl': ('onedl-mmengine', 'onedl-mmcv', 'onedl-mmdetection'),
}
OTHERS = {
    'openmmlab': ('mmcls', 'mmselfsup', 'mmpretrain'),
    'onedl': ('onedl-mmpretrain',),
}


def is_installed(distribution: str) -> bool:
    """Whether a distribution is installed."""
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def family() -> str:
    """Which family is installed, ``openmmlab`` or ``onedl``."""
    return 'onedl' if is_installed(NEEDED['onedl'][0]) else 'openmmlab'


def resolve(node: Any) -> None:
    """Let a config name the packages that are installed, everywhere in it.

    A component of ``mmselfsup``, ``mmcls`` or ``mmpretrain`` becomes that of
    the package that stands in for it, if that one is not installed, and computes
    the same.

    Args:
        node: A config or a part of one; changed in place.

    Raises:
        SoCoError: If neither package is installed, or they may differ.

    Example:
        >>> from soco_mm.openmmlab import resolve
        >>> model = dict(type='mmdet.ResNet', depth=50)
        >>> resolve(model)
        >>> model['type']
        'mmdet.ResNet'
    """
    for part in parts_of(node):
        if isinstance(kind := part.get('type'), str):
            part['type'] = installed_type(kind)
            key = MOMENTUM.get(kind.partition('.')[2])
            if part['type'] != kind and isinstance(part.get(key), (int, float)):
                part[key] = round(1 - part[key], 12)


def parts_of(node: Any) -> Iterator[dict]:
    """All dicts in a config, from the outside to the inside."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from parts_of(value)


def installed_type(kind: str) -> str:
    """The name of a component in the package that is installed.

    Args:
        kind (str): A ``type`` of a config, such as ``mmcls.LinearClsHead``.

    Returns:
        str: The same, or that of the package that stands in for it.

    Raises:
        SoCoError: If neither package is installed, or they may differ.
    """
    scope, _, name = kind.partition('.')
    stand_in = STAND_INS.get(scope)
    if scope == 'mmpretrain' and name in BASELINES:
        stand_in = 'mmselfsup'
    if stand_in is None or find_spec(scope):
        return kind
    if not find_spec(stand_in):
        raise SoCoError(
            f'{kind} needs {scope} or {stand_in}, but neither is installed. '
            f'{how_to_install(scope, stand_in)}'
        )
    if scope == 'mmselfsup' and name not in BASELINES:
        raise SoCoError(
            f'{kind} needs {scope}, which is not installed, and that of {stand_in} may '
            f'compute something else. Name {stand_in}.{name} to take it as it is.'
        )
    names = RENAMED
    if stand_in == 'mmcls':
        names = {new: old for old, new in RENAMED.items()}
    return f'{stand_in}.{names.get(name, name)}'


def how_to_install(*packages: str) -> str:
    """A sentence: the command that installs one of two packages that do the same."""
    named = 'mmcls==1.0.0rc6'
    if 'mmselfsup' in packages:
        named = f'mmselfsup==1.0.0 {named}'
    if family() == 'onedl':
        named = 'onedl-mmpretrain'
    return f'Install it with: pip install --no-deps {named}'


def accuracy(scores: 'Tensor', labels: 'Tensor', topk: tuple[int, ...]) -> list[float]:
    """Top-k accuracies, as the installed package computes them.

    Args:
        scores (Tensor): Scores of the classes, (N, C).
        labels (Tensor): True classes, int64 (N,).
        topk (tuple[int]): The values of k.

    Returns:
        list[float]: Accuracies in percent, one for each k.

    Raises:
        SoCoError: If neither package for classification is installed.
    """
    package = installed_type(f'{CLASSIFIERS[0]}.Accuracy').partition('.')[0]
    metric = import_module(f'{package}.evaluation').Accuracy
    # A class without a score does not count, whatever its rank.
    return [value.item() for (value,) in metric.calculate(scores, labels, topk)]


def label_of(sample: Any) -> 'Tensor':
    """The class of a data sample of either package, int64 (1,)."""
    return getattr(sample.gt_label, 'label', sample.gt_label)
