# The longer recipe does not cover parts of the objects.
_base_ = '../soco_r50_fpn_400e.py'

train_pipeline = _base_.train_pipeline
crop = train_pipeline[1]['views'][1]
train_pipeline[1]['views'][2] = dict(crop, size=112)
train_pipeline[2]['view_sets'] = [(0, 1), (0, 2)]
train_pipeline[3]['prob'] = (0.5, 0.0)
train_dataloader = dict(
    dataset=dict(
        proposals='data/imagenet/proposals_released',
        pipeline=train_pipeline))
