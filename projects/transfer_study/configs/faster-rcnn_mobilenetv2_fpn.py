# The Faster R-CNN of the transfer study: as narrow as what is pretrained, and few
# regions.
_base_ = 'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py'

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
    rpn_head=dict(in_channels=64, feat_channels=64),
    roi_head=dict(
        # Two samples a side, not as many as there are pixels: a tenth of the time.
        bbox_roi_extractor=dict(
            out_channels=64, roi_layer=dict(type='RoIAlign', sampling_ratio=2)
        ),
        bbox_head=dict(
            type='Shared4Conv1FCBBoxHead',
            in_channels=64,
            conv_out_channels=64,
            fc_out_channels=256,
            norm_cfg=norm_cfg,
        ),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64))
    ),
    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)),
)
optim_wrapper = dict(optimizer=dict(weight_decay=2.5e-5))
