# Table 5(c): K = 1 random boxes of each image, those of
# soco-mm proposals --method random --max-boxes 1.
_base_ = '../soco_r50_fpn_100e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2]['num_proposals'] = 1
train_dataloader = dict(
    dataset=dict(proposals='data/imagenet/proposals_random-1', pipeline=train_pipeline)
)
