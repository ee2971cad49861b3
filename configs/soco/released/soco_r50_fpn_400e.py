# As released/soco_r50_fpn_100e.py, but no parts of the objects are covered.
_base_ = '../soco_r50_fpn_400e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['max_tries'] = 5
crop = train_pipeline[1]['views'][1]
crop.pop('source')
train_pipeline[1]['views'][2] = dict(crop, size=112)
train_pipeline[2]['view_sets'] = [(0, 1), (0, 2)]
train_pipeline[3].update(prob=(0.5, 0.0), anchor='corner')
train_dataloader = dict(
    dataset=dict(proposals='data/imagenet/proposals_released', pipeline=train_pipeline)
)
