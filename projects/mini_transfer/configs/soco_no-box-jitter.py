# Without box jitter.
_base_ = './soco.py'

train_pipeline = [
    transform for transform in _base_.train_pipeline if transform['type'] != 'BoxJitter'
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
