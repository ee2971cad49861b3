# From weights pretrained by classification of ImageNet.
_base_ = ['./fcos_r50_fpn_gn-head_1x_coco.py', '../../../_base_/detection.py']

model = _base_.pop('parts').supervised
