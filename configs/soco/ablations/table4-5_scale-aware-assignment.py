# Row 5 of Table 4: without box jitter.
_base_ = './table4-6_box-jitter.py'

train_pipeline = [
    transform for transform in _base_.train_pipeline if transform['type'] != 'BoxJitter'
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
