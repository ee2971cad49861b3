# Without boxes too: the whole image is the only object.
_base_ = './ablation_boxes.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2]['num_proposals'] = 1
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
