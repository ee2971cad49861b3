# From the classification of ImageNet.
_base_ = './fcos_r50_fpn_gn-head_1x_coco.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', checkpoint='torchvision://resnet50'
        )
    )
)
