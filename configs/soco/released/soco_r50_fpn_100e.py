# As the authors' released code trains it: V3 is a crop of its own with its own
# K proposals, boxes are jittered in V1 alone, and parts of the objects in V2
# and V3 are covered. The proposals are those of --preset released.
_base_ = '../soco_r50_fpn_100e.py'

train_pipeline = _base_.train_pipeline
crop = train_pipeline[1]['views'][1]
train_pipeline[1]['views'][2] = dict(crop, size=112)
train_pipeline[2]['view_sets'] = [(0, 1), (0, 2)]
train_pipeline[3]['prob'] = (0.5, 0.0)
train_pipeline.insert(-1, dict(type='BoxCutout', prob=(0.0, 0.5)))
train_dataloader = dict(
    dataset=dict(
        proposals='data/imagenet/proposals_released',
        pipeline=train_pipeline))
