"""Registries of the scope ``soco_mm``, children of MMEngine's root.

A config with ``default_scope = 'soco_mm'`` finds the components here by their
plain names; those of other libraries carry their scope (``mmdet.ResNet``).
"""
from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope='soco_mm',
    locations=['soco_mm.models'])
DATASETS = Registry(
    'dataset',
    parent=MMENGINE_DATASETS,
    scope='soco_mm',
    locations=['soco_mm.datasets'])
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=MMENGINE_DATA_SAMPLERS,
    scope='soco_mm',
    locations=['soco_mm.datasets'])
TRANSFORMS = Registry(
    'transform',
    parent=MMENGINE_TRANSFORMS,
    scope='soco_mm',
    locations=['soco_mm.datasets.transforms'])
HOOKS = Registry(
    'hook',
    parent=MMENGINE_HOOKS,
    scope='soco_mm',
    locations=['soco_mm.engine'])
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope='soco_mm',
    locations=['soco_mm.engine'])
OPTIMIZERS = Registry(
    'optimizer',
    parent=MMENGINE_OPTIMIZERS,
    scope='soco_mm',
    locations=['soco_mm.engine'])
# Sources of proposals: image -> boxes.
PROPOSALS = Registry(
    'proposal generator', scope='soco_mm', locations=['soco_mm.proposals'])
