# SoCo-R50-FPN (Sections 3.3 and 4.1).
norm_cfg = dict(type='SyncBN', requires_grad=True)
mlp_cfg = dict(
    type='NonLinearNeck',
    hid_channels=4096,
    out_channels=256,
    num_layers=2,
    with_bias=True,
    with_last_bn=False,
    with_last_bias=True,
    with_avg_pool=False,
    norm_cfg=norm_cfg,
)
model = dict(
    type='SoCo',
    base_momentum=0.99,
    backbone=dict(
        type='mmdet.ResNet',
        depth=50,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=norm_cfg,
        norm_eval=False,
        zero_init_residual=True,
        style='pytorch',
    ),
    neck=dict(
        type='mmdet.FPN',
        in_channels=[256, 512, 1024, 2048],
        out_channels=256,
        num_outs=4,
        norm_cfg=norm_cfg,
    ),
    roi_head=dict(
        type='ObjectRoIHead',
        bbox_roi_extractor=dict(
            type='ScaleAwareRoIExtractor',
            featmap_strides=[4, 8, 16, 32],
            scale_bounds=[48, 96, 192, 224],
            output_size=7,
        ),
        bbox_head=dict(
            type='ObjectBBoxHead',
            num_shared_convs=4,
            num_shared_fcs=1,
            in_channels=256,
            roi_feat_size=7,
            conv_out_channels=256,
            fc_out_channels=1024,
            norm_cfg=norm_cfg,
        ),
    ),
    projector=dict(in_channels=1024, **mlp_cfg),
    head=dict(
        type='SoCoHead',
        predictor=dict(in_channels=256, **mlp_cfg),
        loss=dict(type='ObjectCosineLoss'),
    ),
)
