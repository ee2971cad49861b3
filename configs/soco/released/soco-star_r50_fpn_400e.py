# As the authors' released code trains it: V3 is V2 at 112 pixels, as in the
# paper; one set of K proposals is for V1, V2 and V4, one for V1 and V3, and
# boxes are jittered in V1 alone.
_base_ = '../soco-star_r50_fpn_400e.py'

train_pipeline = _base_.train_pipeline
train_pipeline[2]['view_sets'] = [(0, 1, 3), (0, 2)]
train_pipeline[3]['prob'] = (0.5, 0.0)
train_dataloader = dict(
    dataset=dict(
        proposals='data/imagenet/proposals_released',
        pipeline=train_pipeline))
