# MoCo v2 in small, see byol.py. The queue holds the last 4 batches: with 205 images,
# 6 batches an epoch, a longer one would hold keys of the query's own image. The key
# encoder follows within the 200 steps.
_base_ = '../../../configs/benchmarks/baselines/mocov2_r50_100e.py'

model = dict(
    queue_len=128,
    momentum=0.99,
    backbone=dict(
        _delete_=True,
        type='mmdet.MobileNetV2',
        out_indices=(6,),
        norm_cfg=_base_.norm_cfg,
        norm_eval=False,
    ),
    neck=dict(in_channels=320, hid_channels=512),
)

train_pipeline = _base_.train_pipeline
for view in train_pipeline[1]['views']:
    view['size'] = 128
del view
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
