# Table 5(a): V3 of 192 pixels.
_base_ = '../soco_r50_fpn_100e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['views'][2]['size'] = 192
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
