# From weights pretrained by classification of ImageNet.
_base_ = ['./mask-rcnn_r50_fpn_2x_lvis-v1.py', '../../../_base_/detection.py']

model = _base_.pop('parts').supervised
