# As coco/mask-rcnn_r50_fpn_1x_coco.py, on LVIS v1.
_base_ = 'mmdet::lvis/mask-rcnn_r50_fpn_sample1e-3_ms-1x_lvis-v1.py'

custom_imports = dict(imports=['soco_mm.engine'])
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None),
    neck=dict(norm_cfg=norm_cfg),
    roi_head=dict(
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=norm_cfg
        ),
        mask_head=dict(norm_cfg=norm_cfg),
    ),
)
optim_wrapper = dict(optimizer=dict(weight_decay=2.5e-5))
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
train_cfg = dict(
    _delete_=True, type='IterBasedTrainLoop', max_iters=90000, val_interval=10000
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(
        type='MultiStepLR',
        begin=0,
        end=90000,
        by_epoch=False,
        milestones=[60000, 80000],
        gamma=0.1,
    ),
]
default_hooks = dict(checkpoint=dict(by_epoch=False, interval=10000))
log_processor = dict(by_epoch=False)
custom_hooks = [dict(type='soco_mm.PreciseBNHook')]
