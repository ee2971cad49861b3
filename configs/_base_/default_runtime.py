default_scope = 'soco_mm'

default_hooks = dict(
    runtime_info=dict(type='DeferredRuntimeInfoHook'),
    timer=dict(type='IterTimerHook'),
    sampler_seed=dict(type='StepSeedHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='AmpParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=1, max_keep_ckpts=3),
)
custom_hooks = [dict(type='TargetUpdateHook'), dict(type='TrainingHealthHook')]

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
log_processor = dict(type='LogProcessor', by_epoch=True, window_size=50)
visualizer = dict(type='Visualizer', vis_backends=[dict(type='JSONVisBackend')])

randomness = dict(seed=0, deterministic=False)
log_level = 'INFO'
load_from = None
# Weights of any library to start from: a path, or dict(checkpoint=..., partial=False,
# licence=None).
init_weights = None
resume = False
# All batch norms of the model: SyncBN, BN, GN, or None as the model says. Weights of
# a backbone with batch norm do not fit GN.
norm = None
