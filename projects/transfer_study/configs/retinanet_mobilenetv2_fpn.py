# The RetinaNet of the transfer study, with two convolutions a tower.
_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        out_indices=(1, 2, 4, 6),
        norm_cfg=norm_cfg,
        norm_eval=False,
    ),
    neck=dict(in_channels=[24, 32, 96, 320], out_channels=64, norm_cfg=norm_cfg),
    bbox_head=dict(in_channels=64, feat_channels=64, stacked_convs=2),
)
optim_wrapper = dict(optimizer=dict(weight_decay=2.5e-5))
