# Align neck and head to a MobileNetV2, with small views for small images and
# machines; not from the paper. Levels follow the size of the views.
_base_ = './soco_r50_fpn_short.py'

norm_cfg = _base_.norm_cfg
train_pipeline = _base_.train_pipeline
for view, size in zip(train_pipeline[1]['views'], (128, 128, 64)):
    view['size'] = size
del view, size
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.MobileNetV2',
        out_indices=(1, 2, 4, 6),
        norm_cfg=norm_cfg,
        norm_eval=False,
    ),
    neck=dict(in_channels=[24, 32, 96, 320]),
    roi_head=dict(bbox_roi_extractor=dict(scale_bounds=[27, 55, 110, 128])),
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
