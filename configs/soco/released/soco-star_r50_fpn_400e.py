# As the authors' released code trains it. V2 and V4 are crops of the image
# itself, drawn up to five times; V3 is V2 at 112 pixels and shares its K
# proposals, V4 has its own (the authors call V3 img4 and V4 img3). Boxes are
# jittered only in V1, from their top-left corner.
_base_ = '../soco-star_r50_fpn_400e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1]['max_tries'] = 5
train_pipeline[1]['views'][1].pop('source')
train_pipeline[1]['views'][3].pop('source')
train_pipeline[2]['view_sets'] = [(0, 1, 2), (0, 3)]
train_pipeline[3].update(prob=(0.5, 0.0), anchor='corner')
train_dataloader = dict(
    dataset=dict(proposals='data/imagenet/proposals_released', pipeline=train_pipeline)
)
