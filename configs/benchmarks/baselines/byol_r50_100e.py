# BYOL, MMSelfSup's own: image level, with the images, epochs, optimiser and
# photometric augmentation of SoCo, and two crops as in its paper.
_base_ = '../../soco/soco_r50_fpn_100e.py'

norm_cfg = _base_.norm_cfg
mlp_cfg = dict(
    type='mmselfsup.NonLinearNeck',
    hid_channels=4096,
    out_channels=256,
    num_layers=2,
    with_bias=True,
    with_last_bn=False,
    norm_cfg=norm_cfg,
)
model = dict(
    _delete_=True,
    type='mmselfsup.BYOL',
    base_momentum=0.99,
    data_preprocessor=dict(type='soco_mm.ImageViewDataPreprocessor'),
    backbone=dict(
        type='mmdet.ResNet',
        depth=50,
        out_indices=(3,),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        zero_init_residual=True,
        style='pytorch',
    ),
    neck=dict(in_channels=2048, with_avg_pool=True, **mlp_cfg),
    head=dict(
        type='mmselfsup.LatentPredictHead',
        predictor=dict(in_channels=256, with_avg_pool=False, **mlp_cfg),
        loss=dict(type='mmselfsup.CosineSimilarityLoss'),
    ),
)
custom_hooks = []  # this BYOL updates its target network itself

crop = dict(size=224, crop_scale=(0.08, 1.0), crop_ratio=(3 / 4, 4 / 3))
train_pipeline = [
    transform for transform in _base_.train_pipeline if transform['type'] != 'BoxJitter'
]
train_pipeline[1]['views'] = [crop, crop]
train_pipeline[2]['num_proposals'] = 1  # not used
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
