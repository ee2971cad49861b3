from .amp_hooks import AmpParamSchedulerHook
from .checkpoint_hook import AtomicCheckpointHook
from .object_metrics_hook import ObjectMetricsHook
from .precise_bn_hook import PreciseBNHook
from .resumed_evaluation_hook import ResumedEvaluationHook
from .runtime_info_hook import DeferredRuntimeInfoHook
from .step_guard_hook import StepGuardHook
from .step_seed_hook import StepSeedHook
from .target_update_hook import TargetUpdateHook
from .timeline_hook import TimelineHook
from .training_health_hook import TrainingHealthHook

__all__ = [
    'AmpParamSchedulerHook',
    'AtomicCheckpointHook',
    'DeferredRuntimeInfoHook',
    'ObjectMetricsHook',
    'PreciseBNHook',
    'ResumedEvaluationHook',
    'StepGuardHook',
    'StepSeedHook',
    'TargetUpdateHook',
    'TimelineHook',
    'TrainingHealthHook',
]
