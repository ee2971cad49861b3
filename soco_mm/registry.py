"""Registries of the scope ``soco_mm``, children of MMEngine's root.

A config with ``default_scope = 'soco_mm'`` finds the components here by their
plain names; those of other libraries carry their scope (``mmdet.ResNet``).
"""

from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import DefaultScope, Registry, root

# With this table MMEngine finds configs of an installed package, here
# ``soco_mm::soco/soco_r50_fpn_100e.py``. It holds a module, not the name of the
# distribution, whose folder would be the wrong one in an editable install.
MODULE2PACKAGE.setdefault('soco_mm', 'soco_mm.version')


class OwnScopeRegistry(Registry):
    """A registry that builds in its own scope, whatever the current one is.

    MMDetection's ``init_detector``, for example, sets a scope for the rest of
    the process, in which the components here are unknown.
    """

    def build(self, cfg, *args, **kwargs):
        with DefaultScope.overwrite_default_scope(self.scope):
            return super().build(cfg, *args, **kwargs)


def _child(parent: Registry, *locations: str) -> Registry:
    return OwnScopeRegistry(
        parent.name,
        parent=parent,
        scope='soco_mm',
        locations=[f'soco_mm.{location}' for location in locations],
    )


MODELS = _child(root.MODELS, 'models')
DATASETS = _child(root.DATASETS, 'datasets')
DATA_SAMPLERS = _child(root.DATA_SAMPLERS, 'datasets')
TRANSFORMS = _child(root.TRANSFORMS, 'datasets.transforms')
HOOKS = _child(root.HOOKS, 'engine')
OPTIMIZERS = _child(root.OPTIMIZERS, 'engine')
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS, 'engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS, 'engine')
VISBACKENDS = _child(root.VISBACKENDS, 'engine')
# Sources of proposals: image -> boxes.
PROPOSALS = OwnScopeRegistry(
    'proposal generator', scope='soco_mm', locations=['soco_mm.proposals']
)

LOOPS = _child(root.LOOPS, 'engine')

# Registries without components: without them MMEngine warns at each look-up.
for _parent in (
    root.LOG_PROCESSORS,
    root.METRICS,
    root.MODEL_WRAPPERS,
    root.PARAM_SCHEDULERS,
    root.RUNNERS,
    root.VISUALIZERS,
    root.WEIGHT_INITIALIZERS,
    root.FUNCTIONS,
):
    _child(_parent, 'engine')
