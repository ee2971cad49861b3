# SoCo* (Section 4.3): V4, another crop of V1, at 192 pixels.
_base_ = './soco_views.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['views'].append(
    dict(size=192, source=0, crop_scale=(0.5, 1.0), crop_ratio=(3 / 4, 4 / 3))
)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
