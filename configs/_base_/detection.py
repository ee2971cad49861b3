# Named parts of the detection benchmarks, which have different bases in
# MMDetection. A config takes them by parts = _base_.pop('parts') and deletes the
# name at its end, so that its resolved config holds only what it trains.
norm_cfg = dict(type='SyncBN', requires_grad=True)
# Nothing frozen, and batch norm in training mode everywhere.
resnet = dict(frozen_stages=-1, norm_cfg=norm_cfg, norm_eval=False, init_cfg=None)
neck = dict(norm_cfg=norm_cfg)
# For RGB images and PyTorch's ResNet; MMDetection's base has Caffe's.
pytorch_resnet = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(style='pytorch', **resnet),
)
imagenet = dict(
    init_cfg=dict(_delete_=True, type='Pretrained', checkpoint='torchvision://resnet50')
)

parts = dict(
    norm_cfg=norm_cfg,
    # Models.
    resnet_fpn=dict(backbone=resnet, neck=neck),
    pytorch_resnet_fpn=dict(neck=neck, **pytorch_resnet),
    # The 4conv1fc box head.
    mask_rcnn_fpn=dict(
        backbone=resnet,
        neck=neck,
        roi_head=dict(
            bbox_head=dict(
                type='Shared4Conv1FCBBoxHead', conv_out_channels=256, norm_cfg=norm_cfg
            ),
            mask_head=dict(norm_cfg=norm_cfg),
        ),
    ),
    # The head is res5 with an additional norm, Res5ROIHeadsExtraNorm in the
    # authors' files.
    rcnn_c4=dict(
        roi_head=dict(
            shared_head=dict(
                type='soco_mm.ResLayerExtraNorm',
                norm_cfg=norm_cfg,
                norm_eval=False,
                style='pytorch',
                init_cfg=None,
            )
        ),
        **pytorch_resnet,
    ),
    # Pretrained by classification of ImageNet.
    supervised=dict(backbone=imagenet),
    supervised_c4=dict(backbone=imagenet, roi_head=dict(shared_head=imagenet)),
    # As in the authors' files for Detectron2: 90 thousand iterations of 16 images
    # (12.3 epochs) with steps at 2/3 and 8/9 of them, which 12 epochs cannot
    # express, and a warm-up of 1000.
    optim_wrapper=dict(optimizer=dict(weight_decay=2.5e-5)),
    train_cfg=dict(
        _delete_=True, type='IterBasedTrainLoop', max_iters=90000, val_interval=10000
    ),
    param_scheduler=[
        dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
        dict(
            type='MultiStepLR',
            begin=0,
            end=90000,
            by_epoch=False,
            milestones=[60000, 80000],
            gamma=0.1,
        ),
    ],
    default_hooks=dict(checkpoint=dict(by_epoch=False, interval=10000)),
    # Shorter sides of 640 to 800 pixels.
    resize=dict(
        type='RandomChoiceResize',
        scales=[(1333, side) for side in (640, 672, 704, 736, 768, 800)],
        keep_ratio=True,
    ),
    # The statistics of batch norm are made precise before each evaluation.
    custom_hooks=[dict(type='soco_mm.PreciseBNHook')],
)
del norm_cfg, resnet, neck, pytorch_resnet, imagenet
