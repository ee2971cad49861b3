# Row 1 of Table 4: the whole image is the only object. Make the proposals with
# soco-mm proposals --method whole.
_base_ = './table4-2_selective-search.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2]['num_proposals'] = 1
train_dataloader = dict(
    dataset=dict(proposals='data/imagenet/proposals_whole', pipeline=train_pipeline)
)
