# Table 5(c): K = 1 proposals of selective search.
_base_ = '../soco_r50_fpn_100e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2]['num_proposals'] = 1
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
