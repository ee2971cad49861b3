# From weights pretrained by classification of ImageNet.
_base_ = ['./mask-rcnn_r50_fpn_90k_coco-5pct.py', '../../../_base_/detection.py']

model = _base_.pop('parts').supervised
