# As the authors' released code trains it. V2 is a crop of the image itself, V3
# another one with its own K proposals; crops are drawn up to five times. Boxes
# are jittered only in V1, from their top-left corner, and parts of the objects
# in V2 and V3 are covered. The proposals are those of --preset released.
_base_ = '../soco_r50_fpn_100e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['max_tries'] = 5
crop = train_pipeline[1]['views'][1]
crop.pop('source')
train_pipeline[1]['views'][2] = dict(crop, size=112)
train_pipeline[2]['view_sets'] = [(0, 1), (0, 2)]
train_pipeline[3].update(prob=(0.5, 0.0), anchor='corner')
train_pipeline.insert(-1, dict(type='BoxCutout', prob=(0.0, 0.5)))
train_dataloader = dict(
    dataset=dict(proposals='data/imagenet/proposals_released', pipeline=train_pipeline)
)
