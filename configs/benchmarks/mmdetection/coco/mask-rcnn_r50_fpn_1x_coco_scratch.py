# From random weights.
_base_ = './mask-rcnn_r50_fpn_1x_coco.py'
