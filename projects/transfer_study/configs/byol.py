# BYOL in small: the study's backbone, crops of 128 pixels, heads of a quarter of
# the width. Optimiser and steps are those of short.py.
_base_ = '../../../configs/benchmarks/baselines/byol_r50_100e.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.MobileNetV2',
        out_indices=(6,),
        norm_cfg=_base_.norm_cfg,
        norm_eval=False,
    ),
    neck=dict(in_channels=320, hid_channels=1024),
    head=dict(predictor=dict(hid_channels=1024)),
)

train_pipeline = _base_.train_pipeline
for view in train_pipeline[1]['views']:
    view['size'] = 128
del view
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
