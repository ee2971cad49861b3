# As the authors' released code trains it. V2 is a crop of the image itself, of
# [0.6, 1] of its area and drawn up to five times; boxes are not jittered, and
# parts of the objects in V2 are covered.
_base_ = '../soco_r50_c4_100e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['max_tries'] = 5
train_pipeline[1]['views'][1].pop('source')
train_pipeline[1]['views'][1]['crop_scale'] = (0.6, 1.0)
train_pipeline.pop(3)
train_pipeline.insert(-1, dict(type='BoxCutout', prob=(0.0, 0.5)))
train_dataloader = dict(
    dataset=dict(proposals='data/imagenet/proposals_released', pipeline=train_pipeline)
)
