# From weights pretrained by classification of ImageNet.
_base_ = ['./mask-rcnn_r50_fpn_4x_coco.py', '../../../_base_/detection.py']

model = _base_.pop('parts').supervised
