# Without selective search: the whole image is the one object.
_base_ = './soco.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2]['num_proposals'] = 1
train_dataloader = dict(
    dataset=dict(proposals='data/imagenet/proposals_whole', pipeline=train_pipeline)
)
