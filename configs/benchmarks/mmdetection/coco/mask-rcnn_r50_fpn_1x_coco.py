# Section 4.2 of the paper: batch norm synchronised in all layers, new ones
# too, nothing frozen, the 4conv1fc box head, weight decay 2.5e-5, a warm-up of
# 1000 iterations. As in the authors' files for Detectron2: 90 thousand
# iterations of 16 images (12.3 epochs) with steps at 2/3 and 8/9 of them, which
# 12 epochs cannot have; shorter sides of 640 to 800 pixels; the
# statistics of batch norm are made precise before each evaluation.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'

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
train_pipeline = _base_.train_pipeline
train_pipeline[2] = dict(
    type='RandomChoiceResize',
    scales=[(1333, side) for side in (640, 672, 704, 736, 768, 800)],
    keep_ratio=True,
)
train_dataloader = dict(
    sampler=dict(type='InfiniteSampler'), dataset=dict(pipeline=train_pipeline)
)
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
