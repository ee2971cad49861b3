# Table 5(c): K = 8 random boxes of each image, those of
# soco-mm proposals --method random --max-boxes 8.
_base_ = '../soco_r50_fpn_100e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2]['num_proposals'] = 8
train_dataloader = dict(
    dataset=dict(proposals='data/imagenet/proposals_random-8', pipeline=train_pipeline)
)
