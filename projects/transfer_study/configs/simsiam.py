# SimSiam in small, see byol.py; the predictor's learning rate is that of short.py.
_base_ = '../../../configs/benchmarks/baselines/simsiam_r50_100e.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmdet.MobileNetV2',
        out_indices=(6,),
        norm_cfg=_base_.norm_cfg,
        norm_eval=False,
    ),
    neck=dict(in_channels=320, hid_channels=512, out_channels=512),
    head=dict(predictor=dict(in_channels=512, hid_channels=128, out_channels=512)),
)

train_pipeline = _base_.train_pipeline
for view in train_pipeline[1]['views']:
    view['size'] = 128
del view
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
custom_hooks = _base_.custom_hooks
custom_hooks[0]['lr'] = 1e-3
