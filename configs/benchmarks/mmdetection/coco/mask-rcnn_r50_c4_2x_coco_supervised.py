# From the classification of ImageNet.
_base_ = './mask-rcnn_r50_c4_2x_coco.py'

init_cfg = dict(
    _delete_=True, type='Pretrained', checkpoint='torchvision://resnet50')
model = dict(
    backbone=dict(init_cfg=init_cfg),
    roi_head=dict(
        shared_head=dict(
            init_cfg=dict(
                type='Pretrained', checkpoint='torchvision://resnet50'))))
