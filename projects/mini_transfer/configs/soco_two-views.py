# Without the third view.
_base_ = './soco.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['views'] = train_pipeline[1]['views'][:2]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
