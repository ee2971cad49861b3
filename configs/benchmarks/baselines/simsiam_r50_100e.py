# SimSiam, MMSelfSup's own: no target network, no negatives; crops and optimiser
# as in its paper.
_base_ = './byol_r50_100e.py'

norm_cfg = _base_.norm_cfg
mlp_cfg = dict(type='mmselfsup.NonLinearNeck', norm_cfg=norm_cfg)
model = dict(
    _delete_=True,
    type='mmselfsup.SimSiam',
    data_preprocessor=dict(type='soco_mm.ImageViewDataPreprocessor'),
    backbone=_base_.model.backbone,
    neck=dict(
        in_channels=2048,
        hid_channels=2048,
        out_channels=2048,
        num_layers=3,
        with_last_bn_affine=False,
        with_avg_pool=True,
        **mlp_cfg,
    ),
    head=dict(
        type='mmselfsup.LatentPredictHead',
        predictor=dict(
            in_channels=2048,
            hid_channels=512,
            out_channels=2048,
            with_avg_pool=False,
            with_last_bn=False,
            with_last_bias=True,
            **mlp_cfg,
        ),
        loss=dict(type='mmselfsup.CosineSimilarityLoss'),
    ),
)

train_pipeline = _base_.train_pipeline
for view in train_pipeline[1]['views']:
    view['crop_scale'] = (0.2, 1.0)
del view
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# 0.05 for 256 images. That of the predictor stays as it is, also where
# auto_scale_lr changes the other: set both for another batch size.
lr = 0.4
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=lr, momentum=0.9, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(predictor=dict(fix_lr=True))),
)
custom_hooks = [
    dict(
        type='mmselfsup.SimSiamHook',
        priority='HIGH',
        fix_pred_lr=True,
        lr=lr,
        adjust_by_epoch=False,
    )
]
