# As retinanet_r50_fpn_1x_coco.py, for FCOS. The weights are of RGB images and
# of PyTorch's ResNet.
_base_ = [
    'mmdet::fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py',
    '../../../_base_/detection.py',
]

parts = _base_.pop('parts')
norm_cfg = parts.norm_cfg
model = parts.pytorch_resnet_fpn
del parts
