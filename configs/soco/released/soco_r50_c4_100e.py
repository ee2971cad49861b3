# As the authors' released code trains it: crops of [0.6, 1], boxes jittered in
# V1 alone, and parts of the objects in V2 covered.
_base_ = '../soco_r50_c4_100e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['views'][1]['crop_scale'] = (0.6, 1.0)
train_pipeline[3]['prob'] = (0.5, 0.0)
train_pipeline.insert(-1, dict(type='BoxCutout', prob=(0.0, 0.5)))
train_dataloader = dict(
    dataset=dict(
        proposals='data/imagenet/proposals_released',
        pipeline=train_pipeline))
