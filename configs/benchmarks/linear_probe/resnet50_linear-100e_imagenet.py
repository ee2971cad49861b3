# Linear evaluation on ImageNet-1K (the paper's Appendix B): backbone and batch
# statistics are frozen, random crops and flips, SGD with lr 30 for 256 images,
# 100 epochs. The paper does not say how the learning rate falls; the steps at
# 60 and 80 epochs are those of MoCo, whose practice it follows.
_base_ = '../../_base_/default_runtime.py'

custom_imports = dict(imports=['soco_mm.evaluation'])
custom_hooks = []

model = dict(
    type='LinearProbe',
    # Exported weights, or a checkpoint of a pretraining.
    checkpoint='work_dirs/exported/soco_weights.pth',
    data_preprocessor=dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
    backbone=dict(type='mmdet.ResNet', depth=50),
    neck=dict(type='mmcls.GlobalAveragePooling'),
    head=dict(
        type='mmcls.LinearClsHead',
        num_classes=1000,
        in_channels=2048,
        loss=dict(type='mmcls.CrossEntropyLoss'),
    ),
)

train_pipeline = [
    dict(type='soco_mm.LoadRGBImage'),
    dict(type='mmcls.RandomResizedCrop', scale=224, backend='pillow'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmcls.PackClsInputs'),
]
test_pipeline = [
    dict(type='soco_mm.LoadRGBImage'),
    dict(type='Resize', scale=(256, 256), backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='mmcls.PackClsInputs'),
]
train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ClassFolders', data_root='data/imagenet/train', pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(
        type='ClassFolders',
        data_root='data/imagenet/val',
        classes_of='data/imagenet/train',
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
val_evaluator = dict(type='mmcls.Accuracy', topk=(1, 5))

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=30.0, momentum=0.9, weight_decay=0.0),
)
auto_scale_lr = dict(enable=True, base_batch_size=256)
param_scheduler = [
    dict(type='MultiStepLR', by_epoch=True, milestones=[60, 80], gamma=0.1)
]
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=10)
val_cfg = dict()
default_hooks = dict(checkpoint=dict(interval=10))
