# From the classification of ImageNet.
_base_ = './mask-rcnn_r50_fpn_90k_coco-5pct.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', checkpoint='torchvision://resnet50'
        )
    )
)
