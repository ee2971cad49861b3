# Image-level BYOL, MMSelfSup's own, with the same backbone, images, epochs,
# optimiser and photometric augmentation; two crops as in BYOL.
_base_ = './soco.py'

mlp_cfg = dict(
    type='mmselfsup.NonLinearNeck',
    hid_channels=1024,
    out_channels=256,
    num_layers=2,
    with_bias=True,
    with_last_bn=False,
    norm_cfg=dict(type='SyncBN'),
)
model = dict(
    _delete_=True,
    type='mmselfsup.BYOL',
    base_momentum=0.99,
    data_preprocessor=dict(type='soco_mm.ImageViewDataPreprocessor'),
    backbone=dict(
        type='mmdet.ResNet',
        depth=18,
        out_indices=(3,),
        frozen_stages=-1,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        norm_eval=False,
        zero_init_residual=True,
    ),
    neck=dict(in_channels=512, with_avg_pool=True, **mlp_cfg),
    head=dict(
        type='mmselfsup.LatentPredictHead',
        predictor=dict(in_channels=256, with_avg_pool=False, **mlp_cfg),
        loss=dict(type='mmselfsup.CosineSimilarityLoss'),
    ),
)
custom_hooks = []  # this BYOL updates its target network itself

crop = dict(size=128, crop_scale=(0.08, 1.0), crop_ratio=(3 / 4, 4 / 3))
train_pipeline = [
    transform for transform in _base_.train_pipeline if transform['type'] != 'BoxJitter'
]
train_pipeline[1]['views'] = [crop, crop]
train_pipeline[2]['num_proposals'] = 1
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
