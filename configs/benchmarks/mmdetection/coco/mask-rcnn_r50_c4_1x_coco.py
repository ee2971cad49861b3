# As mask-rcnn_r50_fpn_1x_coco.py, on C4: the head is res5 and one more norm,
# Res5ROIHeadsExtraNorm of the authors' files.
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco.py'

custom_imports = dict(imports=['soco_mm.engine', 'soco_mm.models'])
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        style='pytorch',
        init_cfg=None,
    ),
    roi_head=dict(
        shared_head=dict(
            type='ResLayerExtraNorm',
            norm_cfg=norm_cfg,
            norm_eval=False,
            style='pytorch',
            init_cfg=None,
        )
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
