# MoCo v2, MMSelfSup's own: image level, against a queue of 65,536 negatives;
# crops and optimiser as in its paper.
_base_ = './byol_r50_100e.py'

model = dict(
    _delete_=True,
    type='mmselfsup.MoCo',
    queue_len=65536,
    feat_dim=128,
    momentum=0.999,
    data_preprocessor=dict(type='soco_mm.ImageViewDataPreprocessor'),
    backbone=_base_.model.backbone,
    neck=dict(
        type='mmselfsup.MoCoV2Neck',
        in_channels=2048,
        hid_channels=2048,
        out_channels=128,
        with_avg_pool=True,
    ),
    head=dict(
        type='mmselfsup.ContrastiveHead',
        loss=dict(type='mmcls.CrossEntropyLoss'),
        temperature=0.2,
    ),
)

train_pipeline = _base_.train_pipeline
for view in train_pipeline[1]['views']:
    view['crop_scale'] = (0.2, 1.0)
del view
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# 0.03 for 256 images.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='SGD', lr=0.24, momentum=0.9, weight_decay=1e-4)
)
