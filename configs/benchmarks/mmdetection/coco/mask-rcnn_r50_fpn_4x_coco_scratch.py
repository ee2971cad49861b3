# From random weights.
_base_ = './mask-rcnn_r50_fpn_4x_coco.py'
