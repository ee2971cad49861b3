# From the classification of ImageNet.
_base_ = './faster-rcnn_r50_c4_24k_voc0712.py'

model = dict(
    backbone=dict(
        init_cfg=dict(
            _delete_=True, type='Pretrained', checkpoint='torchvision://resnet50'
        )
    ),
    roi_head=dict(
        shared_head=dict(
            init_cfg=dict(
                _delete_=True, type='Pretrained', checkpoint='torchvision://resnet50'
            )
        )
    ),
)
