# Only V1 and V2 (C4, and most rows of Table 4).
_base_ = './soco_views.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['views'] = train_pipeline[1]['views'][:2]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
